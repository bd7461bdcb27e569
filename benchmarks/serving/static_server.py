"""The process: LitServe around StaticPipeline, one worker, one HTTP server."""

import argparse

import litserve

from .static_pipeline import StaticPipeline

BATCH_TIMEOUT_S = 0.005  # LitServe's own default, 0, keeps a core busy with waiting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--images-per-batch", type=int, required=True)
    options = parser.parse_args()
    pipeline = StaticPipeline(
        max_batch_size=options.images_per_batch, batch_timeout=BATCH_TIMEOUT_S
    )
    server = litserve.LitServer(pipeline, accelerator="cpu", devices=1, timeout=False)
    server.run(
        host="127.0.0.1",
        port=options.port,
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
    )


if __name__ == "__main__":
    main()
