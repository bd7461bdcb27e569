"""Progress and events: what a job tells while it runs."""

import pytest

from search_jobs import job_store
from search_jobs.job_store import JobStore
from search_jobs.spec import Progress
from tests.search_jobs.job_store.claims import claimed


def test_progress_is_kept_and_told(jobs: JobStore) -> None:
    claim = claimed(jobs)
    progress = Progress(fraction=0.25, steps=2, stage="search", iteration=3, loss=0.5, eta_s=9.0)
    jobs.report(claim, progress)
    assert jobs.get(claim.job_id).progress == progress
    told = jobs.events(claim.job_id, after=2)
    assert [Progress(**entry.data) for entry in told] == [progress]


def test_a_loss_that_is_no_number_is_told_as_none(jobs: JobStore) -> None:
    claim = claimed(jobs)
    jobs.report(claim, Progress(loss=float("nan")))
    assert jobs.get(claim.job_id).progress.loss is None
    assert jobs.events(claim.job_id)[-1].data["loss"] is None


def test_events_are_replayed_from_any_number(
    jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claimed(jobs)
    for n in range(5):
        jobs.report(claim, Progress(fraction=n / 5))
    assert [entry.number for entry in jobs.events(claim.job_id, after=4)] == [5, 6, 7]
    assert jobs.events(claim.job_id, after=7) == []
    assert jobs.last_event(claim.job_id) == 7
    monkeypatch.setattr(job_store, "MAX_EVENTS", 3)
    assert [entry.number for entry in jobs.events(claim.job_id, after=1)] == [2, 3, 4]
