"""Searches at every scrape: how long the one took that ended last."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from search_jobs.job_store import JobStore
from search_jobs.queue import SearchQueue
from search_jobs.spec import JobState
from service.searching.gauges import SearchGauges
from solver_store.store import SolverStore
from tests.search_jobs.builders import MODEL, spec
from tests.search_jobs.job_store.claims import claimed


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobStore]:
    with closing(SolverStore.open(f"sqlite:///{tmp_path}/store.db")) as opened:
        yield JobStore(opened.database)


def told(jobs: JobStore, state: JobState) -> float | None:
    registry = CollectorRegistry()
    registry.register(SearchGauges(SearchQueue(jobs, None), {MODEL}))
    labels = {"model": MODEL, "state": state.value}
    return registry.get_sample_value("fewstep_search_duration_seconds", labels)


def duration_s(jobs: JobStore, job_id: str) -> float:
    job = jobs.get(job_id)
    assert job.started_at is not None
    assert job.finished_at is not None
    return (job.finished_at - job.started_at).total_seconds()


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_the_duration_is_of_the_search_that_ended_last_not_of_the_newest(
    jobs: JobStore, state: JobState
) -> None:
    older, newer = claimed(jobs), claimed(jobs)
    jobs.finish(newer, state)
    jobs.finish(older, state)
    assert told(jobs, state) == duration_s(jobs, older.job_id) != duration_s(jobs, newer.job_id)


def test_searches_that_wait_do_not_hide_what_has_ended(jobs: JobStore) -> None:
    claim = claimed(jobs)
    jobs.finish(claim, JobState.SUCCEEDED)
    for _ in range(100):
        jobs.submit(spec())
    assert told(jobs, JobState.SUCCEEDED) == duration_s(jobs, claim.job_id)


def test_a_search_that_never_ran_took_no_time_at_all(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    jobs.cancel(job.id)
    assert told(jobs, JobState.CANCELLED) is None
