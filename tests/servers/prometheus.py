"""A Prometheus for the tests, with the project's own rules, that looks every second.

Needs its programs (Debian: `apt-get install prometheus`). Where they are missing the tests are
skipped; in CI (CI=true) that is a failure.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

CONFIGURATION = Path(__file__).parents[2] / "docker" / "prometheus" / "prometheus.yml"
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now: {"metric": labels, "value": [time, text]}."""
        response = httpx.get(f"{self.url}/api/v1/query", params={"query": expression})
        answer = response.json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


def find_program(name: str) -> str:
    """Its path, or a skip that says what to install."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed (Debian: prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@contextmanager
def running_prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """It scrapes one target, host:port, for as long as the block lasts."""
    program, port = find_program("prometheus"), _free_port()
    command = [
        program,
        f"--config.file={_configuration(folder, target)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as server:
        try:
            prometheus = Prometheus(f"http://127.0.0.1:{port}")
            _wait_until_ready(prometheus, server)
            yield prometheus
        finally:
            server.terminate()


def _configuration(folder: Path, target: str) -> Path:
    """The project's, but for the address, and faster."""
    settings = yaml.safe_load(CONFIGURATION.read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(CONFIGURATION.parent / file) for file in settings["rule_files"]]
    (job,) = settings["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(settings))
    return file


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(prometheus: Prometheus, server: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        assert server.poll() is None, "Prometheus ended; its log lies beside its data"
        try:
            if httpx.get(f"{prometheus.url}/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("Prometheus did not become ready")
