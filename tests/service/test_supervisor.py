"""The processes that searches need: started, watched, restarted, and gone with the server."""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from redis import Redis

from search_jobs import broker
from search_jobs.errors import BrokerUnavailable
from search_jobs.spec import TERMINAL
from service import child
from service.child import Child
from service.settings import Settings
from service.supervisor import worker_variables
from tests.service.conftest import StartServer
from tests.service.live import wait_until

ROOT = Path(__file__).parents[2]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="children are tied on Linux only")


def is_alive(pid: int) -> bool:
    """A zombie is not: it only waits to be counted."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"


def children(pid: int) -> set[int]:
    """Of all threads of a process, and their children."""
    found = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for direct in map(int, file.read_text().split()):
            found |= {direct} | children(direct)
    return found


@pytest.fixture
def own_home(home: Path, tmp_path: Path) -> dict[str, object]:
    """Settings of a server with a data folder of its own."""
    return {"home": tmp_path / "own", "models": (str(home / "models" / "tiny"),)}


@on_linux
@pytest.mark.timeout(300)  # it waits for a worker, for another one, and for a search
def test_a_killed_worker_is_restarted_and_what_it_finds_is_served(
    start_server: StartServer, own_home: dict[str, object]
) -> None:
    with start_server(**own_home, workers=1) as live, httpx.Client(base_url=live.url) as http:
        supervisor = live.services.supervisor
        wait_until(lambda: len(supervisor.worker_pids) == 1)
        (killed,) = supervisor.worker_pids
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: supervisor.worker_pids not in ([], [killed]))
        body = {"steps": 2, "budget": 1_000, "objective": "endpoint", "guidance_scale": 1.0}
        job = http.post("/search-jobs", json=body).json()
        url = f"/search-jobs/{job['id']}"
        wait_until(lambda: http.get(url).json()["state"] in TERMINAL)
        job = http.get(url).json()
        assert job["state"] == "succeeded", job
        (result,) = job["results"]
        solver = result["solver"]
        image = {"class_id": 0, "steps": 2, "solver": f"{solver['name']}/{solver['version']}"}
        assert http.post("/generate", json=image).json()["solver"] == solver
        left = children(os.getpid()) & {
            *supervisor.worker_pids,
            *redis_pids(live.services.settings.home),
        }
        assert len(left) == 2
    assert not any(is_alive(pid) for pid in left)


def redis_pids(home: Path) -> list[int]:
    with Redis.from_url(f"unix://{home / 'redis' / 'redis.sock'}") as redis:
        return [redis.info("server")["process_id"]]


def test_without_redis_images_are_served_and_searches_wait(
    start_server: StartServer,
    own_home: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempts = []

    def none_at_hand() -> Path:
        attempts.append(1)
        raise BrokerUnavailable("there is no Redis")

    monkeypatch.setattr(broker, "find_program", none_at_hand)
    monkeypatch.setattr("service.supervisor.BROKER_PAUSE_S", 0.0)
    with start_server(**own_home, workers=1) as live, httpx.Client(base_url=live.url) as http:
        wait_until(lambda: len(attempts) > 2)
        assert http.post("/generate", json={"class_id": 0, "steps": 1}).status_code == 200
        job = http.post("/search-jobs", json={"steps": 2})
        assert (job.status_code, job.json()["state"]) == (202, "queued")
        assert live.services.supervisor.worker_pids == []
    told = [record.getMessage() for record in caplog.records if "Redis" in record.getMessage()]
    assert told == ["searches have to wait: there is no Redis"]


def test_a_server_without_workers_starts_no_process(
    start_server: StartServer, own_home: dict[str, object]
) -> None:
    before = children(os.getpid())
    with start_server(**own_home, workers=0) as live:
        assert httpx.get(f"{live.url}/livez").status_code == 200
        assert children(os.getpid()) == before


@contextmanager
def serving(home: Path, model: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process whose worker is ready for search jobs, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "serve", "--home", str(home), "--models", str(model)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FEWSTEP_PORT": "0",
            "FEWSTEP_MAX_ROWS": "8",
            "FEWSTEP_THREADS": "1",
            "FEWSTEP_WORKERS": "1",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        url = ""
        for line in process.stderr:
            if found := re.search(r"ready on (http://\S+)", line):
                url = found[1]
            if "is ready for search jobs" in line:
                break
        yield process, url
    finally:
        process.kill()
        process.communicate()


def family_at_work(server: subprocess.Popen[str], url: str) -> set[int]:
    """The children of a server while it searches: Redis, a worker, and the process of the job."""
    endless = {"steps": 10, "budget": 100_000_000, "objective": "endpoint"}
    job_id = httpx.post(f"{url}/search-jobs", json=endless).json()["id"]
    wait_until(lambda: len(children(server.pid)) == 3)
    job_url = f"{url}/search-jobs/{job_id}"
    wait_until(lambda: httpx.get(job_url).json()["progress"]["stage"] != "waiting")
    return children(server.pid)


@on_linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_all_its_children(
    home: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with serving(tmp_path, home / "models" / "tiny") as (process, url):
        family = family_at_work(process, url)
        started = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert time.monotonic() - started < 10
        assert not any(is_alive(pid) for pid in family)


@on_linux
def test_a_server_that_is_killed_takes_its_children_along(home: Path, tmp_path: Path) -> None:
    with serving(tmp_path, home / "models" / "tiny") as (process, url):
        family = family_at_work(process, url)
        process.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in family))


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


def tend_until_started(kept: Child) -> int:
    def started() -> bool:
        kept.tend()
        return kept.pid is not None

    wait_until(started)
    assert kept.pid is not None
    return kept.pid


def test_a_child_that_keeps_ending_is_started_later_and_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(child, "LONGEST_PAUSE_S", 0.03)
    failing = Child("failing child", python("raise SystemExit(3)"), dict(os.environ))

    def has_ended_often() -> bool:
        failing.tend()
        return len(caplog.records) >= 4

    wait_until(has_ended_often)
    pauses = [re.findall(r"status 3; next start in (.*) s", message) for message in caplog.messages]
    assert pauses == [["0.01"], ["0.02"], ["0.03"], ["0.03"]]
    failing.end(by=0)


def test_however_often_a_child_ends_it_is_started_again_within_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, starts = 0.0, []

    def start(*_: object, **__: object) -> None:
        starts.append(now)
        raise OSError("it ends at once")

    monkeypatch.setattr(child, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(child, "subprocess", SimpleNamespace(Popen=start, DEVNULL=None))
    failing = Child("failing child", python("pass"), {})
    while now < 60:
        failing.tend()
        now += 0.5
    pauses = [after - before for before, after in itertools.pairwise(starts)]
    assert len(pauses) > 10
    assert max(pauses) == 5.0


def test_a_child_that_lasted_is_started_again_soon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "LASTING_S", 0.0)
    lasting = Child("lasting child", python("pass"), dict(os.environ))
    for count in (1, 2):
        tend_until_started(lasting)

        def has_ended(count: int = count) -> bool:
            lasting.tend()
            return len(caplog.records) == count

        wait_until(has_ended)
    assert all("next start in 0.5 s" in message for message in caplog.messages)
    lasting.end(by=0)


def test_a_child_that_does_not_want_to_end_is_killed_with_its_own(tmp_path: Path) -> None:
    code = """
import pathlib, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
pathlib.Path(sys.argv[1]).write_text(f"{grandchild.pid}\\n")
grandchild.wait()
"""
    told = tmp_path / "pid"
    stubborn = Child("stubborn child", (*python(code), str(told)), dict(os.environ))
    pid = tend_until_started(stubborn)
    wait_until(lambda: told.exists() and told.read_text().endswith("\n"))
    grandchild = int(told.read_text())
    stubborn.ask_to_end()
    stubborn.end(by=time.monotonic() + 0.1)
    assert stubborn.pid is None
    assert not is_alive(pid)
    wait_until(lambda: not is_alive(grandchild))


def test_workers_are_told_the_server_s_settings_and_no_secrets_as_flags(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FEWSTEP_DEVICE", "cuda:7")
    settings = Settings(device="cpu", models=("a", "b"), threads=3, home=Path("x"))
    told = {
        "FEWSTEP_HOME": str(Path("x").resolve()),
        "FEWSTEP_DATABASE_URL": settings.database,
        "FEWSTEP_REDIS_URL": "unix:///a.sock",
        "FEWSTEP_MODELS": "a,b",
        "FEWSTEP_DEVICE": "cpu",
        "FEWSTEP_THREADS": "3",
    }
    assert told.items() <= worker_variables(settings, "unix:///a.sock").items()
