"""A job whose process does not survive measuring, again and again: what it has found is kept."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest

from search_jobs import job as job_module
from search_jobs.job import perform
from search_jobs.job_store import MAX_ATTEMPTS, JobStore
from search_jobs.job_writes import KILLED
from search_jobs.settings import WorkerSettings
from search_jobs.spec import JobState, SearchSpec
from solver_store.store import SolverStore
from tests.fakes import write_tiny_model

SPEC = SearchSpec(model="tiny", steps=(3,), guidance_scale=1.0, budget=4_000)


class Killed(BaseException):
    """Nobody catches it, as nobody catches signal 9."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SolverStore]:
    write_tiny_model(tmp_path / "models")
    settings = WorkerSettings(home=tmp_path, models=("tiny",), device="cpu", threads=1)
    monkeypatch.setattr(job_module, "read_worker_settings", lambda: settings)
    with closing(SolverStore.open(settings.database)) as opened:
        yield opened


def test_a_table_whose_measuring_kills_its_process_is_published_at_the_last_attempt(
    store: SolverStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def assess(*arguments: Any, **named: Any) -> NoReturn:
        raise Killed

    monkeypatch.setattr("search_jobs.run.assess", assess)
    jobs = JobStore(store.database)
    job_id = jobs.submit(SPEC)[0].id
    for _ in range(MAX_ATTEMPTS - 1):
        with pytest.raises(Killed):
            perform(job_id, "worker")
        jobs.free("worker", KILLED)
    perform(job_id, "worker")
    job = jobs.get(job_id)
    assert (job.state, job.error) == (JobState.SUCCEEDED, None)
    (result,) = job.results
    assert result.decision == (
        "Not measured, so nothing is promoted: no process has survived measuring it, most likely "
        "because memory ran out."
    )
    assert store.get("tiny-g1-3", 1).table.nfe == 3
