"""`fewstep serve`: it starts, it drains, it stops, and it says why it cannot start."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.cli import main
from tests.service.conftest import StartServer
from tests.service.live import assert_problem, wait_until

ROOT = Path(__file__).parents[2]
LONG = {"class_id": 0, "steps": 256, "num_images": 8, "solver": "euler", "guidance_scale": 1.0}


SERVE = "import sys; from service.cli import main; sys.exit(main(sys.argv[1:]))"
# Loading, once the server is there, takes a minute of nothing but torch.
LOADS_SLOWLY = f"""
import time, torch
from service import residency
quick = residency.load_checked_model

def slow(folder, *where):
    began = time.monotonic()
    while folder.card.name != "tiny" and time.monotonic() < began + 60:
        torch.ones(64, 64) @ torch.ones(64, 64)
    return quick(folder, *where)

residency.load_checked_model = slow
{SERVE}"""


@contextmanager
def serving(home: Path, program: str = SERVE) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, "serve", "--home", str(home), "--models", "tiny"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FEWSTEP_PORT": "0",
            "FEWSTEP_MAX_ROWS": "8",
            "FEWSTEP_THREADS": "1",
            "FEWSTEP_WORKERS": "0",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, _address(process)
    finally:
        process.kill()
        process.communicate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"ready on (http://\S+)", line):
            return found[1]
    raise AssertionError("the server ended before it was ready")


def post(url: str, body: dict[str, object]) -> httpx.Response:
    return httpx.post(f"{url}/generate", json=body, timeout=30)


def test_sigterm_lets_running_images_finish_and_ends_with_status_0(home: Path) -> None:
    with serving(home) as (process, url), ThreadPoolExecutor() as pool:
        assert httpx.get(f"{url}/readyz").json() == {"status": "ready"}
        running: Future[httpx.Response] = pool.submit(post, url, LONG)
        wait_until(lambda: "lanes 8.0" in httpx.get(f"{url}/metrics").text)
        process.send_signal(signal.SIGTERM)
        assert running.result().status_code == 200
        assert process.wait(10) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/livez")


def test_what_is_not_finished_in_time_is_answered_and_the_server_stops(
    start_server: StartServer,
) -> None:
    far_too_much = {**LONG, "num_images": 64}
    with start_server(drain_s=0.2) as live, ThreadPoolExecutor() as pool:
        running: Future[httpx.Response] = pool.submit(post, live.url, far_too_much)
        wait_until(lambda: live.services.engine.stats().lanes > 0)
        started = time.monotonic()
        live.server.should_exit = True
        problem = assert_problem(running.result(), 503)
        assert problem["type"] == "urn:fewstep:problem:draining"
        assert time.monotonic() - started < 5


def load(url: str, name: str) -> httpx.Response:
    return httpx.put(f"{url}/models/{name}/residency", timeout=30)


def test_sigterm_does_not_wait_for_a_model_that_is_being_loaded(home: Path) -> None:
    with serving(home, LOADS_SLOWLY) as (process, url), ThreadPoolExecutor() as pool:
        loading = [pool.submit(load, url, name) for name in ("glyphs", "glyphs-dcn")]
        time.sleep(0.5)  # one is being loaded, one waits for its turn
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        for answer in loading:
            problem = assert_problem(answer.result(), 503)
            assert problem["type"] == "urn:fewstep:problem:draining"
        assert process.wait(10) == 0
        assert time.monotonic() - started < 5


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Put back what `serve` sets."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("models", "nonesuch", "FEWSTEP_MODELS: 'nonesuch' is no folder with a card"),
        ("default_model", "nonesuch", "FEWSTEP_DEFAULT_MODEL: 'nonesuch' is not loaded"),
        ("device", "cuda:99", "FEWSTEP_DEVICE: 'cuda:99' asks for a GPU"),
        ("database_url", "nonesuch", "the database URL cannot be read"),
        ("host", "host.invalid", "FEWSTEP_HOST: 'host.invalid'"),
        ("home", "/dev/null", "FEWSTEP_HOME: /dev/null: File exists"),
        ("port", "-1", "FEWSTEP_PORT: "),
    ],
)
def test_a_server_that_cannot_start_says_why_in_one_line(
    home: Path,
    setting: str,
    value: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = {"home": str(home), "port": "0", "models": "tiny", "max_rows": "8", "workers": "0"}
    for name, text in (settings | {setting: value}).items():
        monkeypatch.setenv(f"FEWSTEP_{name.upper()}", text)
    assert main(["serve"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"fewstep: {told}")


@pytest.mark.usefixtures("signal_handlers")
def test_a_port_that_is_taken_is_told_at_once(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--home", str(home), "--port", str(port)]) == 1
    told = f"fewstep: FEWSTEP_PORT: 127.0.0.1:{port}: Address already in use\n"
    assert capsys.readouterr().err == told
