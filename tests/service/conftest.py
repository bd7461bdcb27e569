from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.settings import Settings
from tests.fakes import write_tiny_model
from tests.service.live import Live, running

StartServer = Callable[..., AbstractContextManager[Live]]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the tiny model; all servers of the tests share it."""
    folder = tmp_path_factory.mktemp("home")
    write_tiny_model(folder / "models")
    return folder


@pytest.fixture(scope="session")
def start_server(home: Path) -> StartServer:
    """Start a server of one's own, with other settings than usual."""

    def start(**settings: Any) -> AbstractContextManager[Live]:
        # A fixed row limit: measuring the best one takes a second.
        usual = {
            "home": home,
            "models": ("tiny",),
            "device": "cpu",
            "threads": 1,
            "max_rows": 8,
            "port": 0,
            "workers": 0,
            "canary": 0,
        }
        return running(Settings(**(usual | settings)))

    return start


@pytest.fixture(scope="session")
def server(start_server: StartServer) -> Iterator[Live]:
    """The server that most tests talk to."""
    with start_server() as live:
        yield live


@pytest.fixture(scope="session")
def http(server: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client
