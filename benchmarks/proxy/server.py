"""Our server, with or without anybody who judges its pictures; no canaries."""

import argparse
from contextlib import nullcontext

import uvicorn

from service.app import create_app
from service.assembly import open_services
from service.settings import read_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--unjudged", action="store_true")
    options = parser.parse_args()
    settings = read_settings({"port": str(options.port), "canary": "0"})
    with open_services(settings) as services:
        if options.unjudged:
            for model in services.fid_proxy.watched_models:
                services.fid_proxy.forget(model)
        app = create_app(settings, lambda _: nullcontext(services))
        uvicorn.run(app, port=options.port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
