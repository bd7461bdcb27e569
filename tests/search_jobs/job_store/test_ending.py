"""Jobs end, are cancelled and are stopped, and then stay as they are."""

import pytest

from search_jobs.errors import JobCancelled, JobFinished, LeaseLost
from search_jobs.job_store import JobStore
from search_jobs.spec import JobState
from solver_store.store import SolverStore
from tests.search_jobs.builders import outcome, spec
from tests.search_jobs.job_store.claims import WRITES, Write, claimed, everything, history
from tests.solver_store.builders import nothing_changes


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_a_finished_job_never_changes(jobs: JobStore, store: SolverStore, state: JobState) -> None:
    claim = claimed(jobs)
    jobs.finish(claim, state, "the reason")
    finished = jobs.get(claim.job_id)
    assert (finished.state, finished.error) == (state, "the reason")
    assert finished.finished_at is not None
    told = jobs.events(claim.job_id)[-1]
    assert (told.kind, told.data) == ("finished", {"state": state, "error": "the reason"})
    before = everything(jobs, claim.job_id)
    for end in (jobs.cancel, jobs.stop):
        with pytest.raises(JobFinished, match=state):
            end(claim.job_id)
    with nothing_changes(store):
        for name in ("report", "publish", "look"):
            with pytest.raises(LeaseLost):
                WRITES[name](jobs, claim)
    assert jobs.claim(claim.job_id, "other") is None
    jobs.free("worker")
    jobs.queue_lapsed()
    assert everything(jobs, claim.job_id) == before


def test_an_end_whose_answer_was_lost_may_be_repeated(jobs: JobStore) -> None:
    claim = claimed(jobs)
    jobs.finish(claim, JobState.SUCCEEDED)
    before = everything(jobs, claim.job_id)
    jobs.finish(claim, JobState.SUCCEEDED)
    assert everything(jobs, claim.job_id) == before


def test_any_reason_can_be_kept(jobs: JobStore) -> None:
    claim = claimed(jobs)
    jobs.finish(claim, JobState.FAILED, "odd \0 file \udc80 name " + "x" * 5000)
    error = jobs.get(claim.job_id).error
    assert error is not None
    assert error.startswith("odd  file ? name xxx")
    assert len(error) == 2000


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_cancelled_job_ends_at_once_for_everybody(
    jobs: JobStore, store: SolverStore, write: Write
) -> None:
    claim = claimed(jobs, steps=(2, 3))
    kept = jobs.publish(claim, outcome(steps=3))
    cancelled = jobs.cancel(claim.job_id)
    assert (cancelled.state, cancelled.results) == (JobState.CANCELLED, (kept,))
    assert jobs.events(claim.job_id)[-1].data == {"state": "cancelled", "error": None}
    before = everything(jobs, claim.job_id)
    with nothing_changes(store), pytest.raises(JobCancelled):
        write(jobs, claim)
    assert jobs.claim(claim.job_id, "other") is None
    assert everything(jobs, claim.job_id) == before


def test_a_running_job_is_asked_to_stop_and_keeps_running(jobs: JobStore) -> None:
    claim = claimed(jobs)
    assert not jobs.stop_requested(claim)
    assert jobs.stop(claim.job_id).state == JobState.RUNNING
    jobs.stop(claim.job_id)
    assert jobs.stop_requested(claim)
    assert history(jobs, claim.job_id) == ["queued", "started", "stopping"]


def test_a_job_that_never_ran_is_cancelled_when_it_is_stopped(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    assert jobs.stop(job.id).state == JobState.CANCELLED
    assert history(jobs, job.id) == ["queued", "finished"]


def test_whoever_takes_a_stopped_job_over_stops_it(jobs: JobStore, hurried: JobStore) -> None:
    claim = claimed(hurried)
    jobs.queue_lapsed()
    assert jobs.stop(claim.job_id).state == JobState.QUEUED  # it may have a best so far
    taken = jobs.claim(claim.job_id, "other")
    assert taken is not None
    assert jobs.stop_requested(taken)
