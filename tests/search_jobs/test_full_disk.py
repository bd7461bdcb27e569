"""The disk is full while a search writes its checkpoint: really full, no fault is injected.

/dev/full is at hand for everybody: whoever writes to it is told that there is no space left. A
file system of a few megabytes, with the whole data folder on it, needs the right to mount one.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from safetensors import safe_open

from diffusion_core.files import temporary_beside
from search_jobs import job as job_module
from search_jobs import patience
from search_jobs.control import Control
from search_jobs.job import perform
from search_jobs.job_store import JobStore
from search_jobs.job_writes import Claim
from search_jobs.search import descent
from search_jobs.settings import WorkerSettings
from search_jobs.spec import JobState, Progress, SearchSpec
from solver_store.store import SolverStore
from tests.fakes import write_tiny_model

NAME = "tiny-g1-3"
SPEC = SearchSpec(model="tiny", steps=(3,), guidance_scale=1.0, budget=4_000)
FILE = "3.safetensors"
FULL_AT = 3  # the iteration
DISK_BYTES = 8 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and tmpfs are Linux's")


class Disk(Protocol):
    home: Path

    def fill(self, checkpoint: Path) -> None: ...

    def make_room(self) -> None: ...


@dataclass
class FullDevice:
    """In the place of the file that is written before it replaces the checkpoint."""

    home: Path

    def fill(self, checkpoint: Path) -> None:
        temporary_beside(checkpoint).symlink_to("/dev/full")

    def make_room(self) -> None:
        """The link went with the write that failed."""


@dataclass
class SmallDisk:
    home: Path

    def fill(self, checkpoint: Path) -> None:
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.home / "filler"


@pytest.fixture(params=["full device", "small disk"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "full device":
        yield FullDevice(home)
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(home)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield SmallDisk(home)
    subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.fixture
def settings(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    write_tiny_model(disk.home / "models")
    settings = WorkerSettings(home=disk.home, models=("tiny",), device="cpu", threads=1)
    monkeypatch.setattr(job_module, "read_worker_settings", lambda: settings)
    monkeypatch.setattr(descent, "SAVE_EVERY_S", 0.0)
    return settings


@pytest.fixture
def store(settings: WorkerSettings) -> Iterator[SolverStore]:
    with closing(SolverStore.open(settings.database)) as opened:
        yield opened


@dataclass
class Watched:
    """A control that passes on which iteration was just made."""

    control: Control
    on_iteration: Callable[[int], None]

    def report(self, progress: Progress) -> None:
        self.control.report(progress)
        if progress.stage == "search":
            self.on_iteration(progress.iteration)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.control, name)


@pytest.fixture
def perform_watched(
    monkeypatch: pytest.MonkeyPatch, settings: WorkerSettings
) -> Callable[[str, Callable[[int], None]], None]:
    real_search = job_module.search

    def perform_one(job_id: str, on_iteration: Callable[[int], None]) -> None:
        def search(
            claim: Claim, store: SolverStore, given: WorkerSettings, control: Control
        ) -> None:
            real_search(claim, store, given, Watched(control, on_iteration))

        monkeypatch.setattr(job_module, "search", search)
        perform(job_id, "worker")

    return perform_one


def test_a_search_on_a_full_disk_fails_with_the_reason_and_keeps_all_it_had(
    disk: Disk,
    settings: WorkerSettings,
    store: SolverStore,
    perform_watched: Callable[[str, Callable[[int], None]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A database on the same disk is waited for until there is room.
    monkeypatch.setattr(patience, "sleep", lambda _: disk.make_room())
    jobs = JobStore(store.database)
    job_id = jobs.submit(SPEC)[0].id
    checkpoint = settings.workspace(job_id) / FILE
    perform_watched(job_id, lambda n: disk.fill(checkpoint) if n == FULL_AT else None)
    job = jobs.get(job_id)
    assert (job.state, job.error) == (JobState.FAILED, f"No space left on device: {checkpoint}")
    assert os.listdir(checkpoint.parent) == [FILE]
    assert iteration_of(checkpoint) == FULL_AT
    with store.database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert store.solvers() == []

    disk.make_room()
    again = jobs.submit(SPEC)[0].id
    shutil.copytree(checkpoint.parent, settings.workspace(again))
    iterations: list[int] = []
    perform_watched(again, iterations.append)
    assert iterations[0] == FULL_AT + 1, "what was kept is good to go on from"
    assert (jobs.get(again).state, jobs.get(again).error) == (JobState.SUCCEEDED, None)
    assert len(store.versions(NAME)) == 1


def iteration_of(checkpoint: Path) -> int:
    with safe_open(checkpoint, framework="pt") as file:
        iteration: int = json.loads(file.metadata()["progress"])["iteration"]
    return iteration
