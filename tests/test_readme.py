"""What the README says to type works: its requests are sent, its Python is run."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_jobs.spec import JobState
from service.settings import Settings
from solver_store.records import CHAMPION
from tests.service.live import Live, running
from tests.service.searches import Worker

ROOT = Path(__file__).parents[1]
ADDRESS = "http://127.0.0.1:8000"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
CURLS = [
    command
    for language, block in BLOCKS
    if language == "sh"
    for command in re.findall(r"^curl (?:.*\\\n)*.*", block, re.M)
]
PROGRAMS = [block for language, block in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The server that the README starts, on another port, and without a worker."""
    settings = Settings(
        home=tmp_path_factory.mktemp("home"),
        models=("glyphs",),
        device="cpu",
        threads=1,
        max_rows=8,
        port=0,
        workers=0,
        canary=0,
    )
    with running(settings) as server:
        yield server


def curl(command: str, live: Live, folder: Path) -> str:
    """What it prints. Fails where the server refuses."""
    command = command.replace(ADDRESS, live.url).replace("curl", "curl --fail-with-body", 1)
    ended = subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def search(live: Live, job_id: str) -> None:
    """What a worker does, in a moment."""
    worker = Worker(live.services)
    claim = worker.claim(job_id)
    worker.publish(claim, claim.spec.steps[0], CHAMPION)
    worker.jobs.finish(claim, JobState.SUCCEEDED, None)
    live.services.selector.refresh()


def test_the_requests_of_the_readme_are_answered_as_it_says(live: Live, tmp_path: Path) -> None:
    job_id, printed = "", {}
    for command in CURLS:
        printed[command] = curl(command.replace("/ID", f"/{job_id}"), live, tmp_path)
        found = re.search(r"^location: /search-jobs/(\S+)", printed[command], re.M | re.I)
        if found:
            job_id = found[1]
            search(live, job_id)
    assert len(printed) >= 6
    assert job_id
    answers = [json.loads(text) for text in printed.values() if text.startswith("{")]
    solvers = [answer["solver"]["name"] for answer in answers if "solver" in answer]
    assert solvers == ["flowdcn-b-256-5", "glyphs-g2.2-6"]
    assert any("event: finished" in text for text in printed.values())
    assert (tmp_path / "seven.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_of_the_readme_run(program: str, live: Live, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", program.replace(ADDRESS, live.url)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("glyphs-g1.3-8 ")
    assert (tmp_path / "seven.png").read_bytes().startswith(b"\x89PNG")
