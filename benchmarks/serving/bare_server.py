"""FastAPI with nothing behind it: reads the request's JSON, answers with a fixed text.

What the overhead of our server is measured against; uvicorn is set up as ours is.
"""

import argparse
from typing import Any

import uvicorn
from fastapi import FastAPI, Response


def create_app(answer_bytes: int) -> FastAPI:
    app = FastAPI()
    answer = b'"' + b"x" * (answer_bytes - 2) + b'"'

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/generate")
    async def generate(body: dict[str, Any]) -> Response:
        return Response(answer, media_type="application/json")

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer-bytes", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        create_app(options.answer_bytes), port=options.port, log_config=None, access_log=False
    )


if __name__ == "__main__":
    main()
