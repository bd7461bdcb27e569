"""A real server on a free port of this machine, in a thread, and helpers to look into it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import httpx

from service.app import create_app
from service.assembly import Services, open_services
from service.server import DrainingServer, bind, uvicorn_config
from service.settings import Settings

PATIENCE_S = 100.0  # a search on a busy machine: its process alone imports for ten seconds


@dataclass(frozen=True)
class Live:
    """A running server and its insides."""

    url: str
    services: Services
    server: DrainingServer

    def metric(self, sample: str) -> float:
        """The value of one sample, `name{labels}`; 0 where it was never written."""
        for line in self.services.metrics.exposition().decode().splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return 0.0


@contextmanager
def running(settings: Settings) -> Iterator[Live]:
    """Serve until the block ends; as `server.serve` does, but for the signals."""
    with bind(settings) as listener, open_services(settings) as services:
        app = create_app(settings, lambda _: nullcontext(services))
        server = DrainingServer(uvicorn_config(app, settings), services)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            assert server.started, "the server did not start"
            yield Live(f"http://127.0.0.1:{listener.getsockname()[1]}", services, server)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)


def wait_until(condition: Callable[[], bool]) -> None:
    """Fails after PATIENCE_S."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.005)


def read_stream(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, by name, as a browser would read them."""
    events = []
    for block in response.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The answer is a problem document of this status; returns it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"]
    problem: dict[str, Any] = json.loads(response.text, parse_constant=_not_json)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert len(response.content) < 4000, "a problem never repeats much of what was sent"
    return problem


def _not_json(constant: str) -> float:
    raise AssertionError(f"{constant} is not JSON")
