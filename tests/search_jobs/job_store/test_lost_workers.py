"""What a worker leaves behind is done by another, and not for ever."""

from collections.abc import Callable

import pytest

from search_jobs.job_store import MAX_ATTEMPTS, JobStore
from search_jobs.job_writes import ENDED, KILLED, Claim, Waiting
from search_jobs.spec import JobState, Progress
from tests.search_jobs.builders import spec
from tests.search_jobs.job_store.claims import claimed


def test_what_a_lost_worker_held_is_queued_again(jobs: JobStore, hurried: JobStore) -> None:
    lost = claimed(hurried)
    alive = claimed(jobs)
    jobs.queue_lapsed()
    assert jobs.get(lost.job_id).state == JobState.QUEUED
    assert jobs.get(alive.job_id).state == JobState.RUNNING
    assert jobs.queued() == [Waiting(lost.job_id, lost.token)]
    told = jobs.events(lost.job_id)[-1]
    assert (told.kind, told.data["reason"]) == ("queued", "its worker has not been heard of")
    started_at = jobs.get(lost.job_id).started_at
    assert jobs.claim(lost.job_id, "other") is not None
    assert jobs.get(lost.job_id).started_at == started_at


@pytest.mark.parametrize("leave", [JobStore.free, JobStore.hand_back])
def test_a_worker_leaves_only_what_it_held(
    jobs: JobStore, leave: Callable[[JobStore, str], None]
) -> None:
    mine, other = claimed(jobs), jobs.submit(spec())[0]
    jobs.claim(other.id, "other")
    leave(jobs, "worker")
    assert jobs.get(mine.job_id).state == JobState.QUEUED
    assert jobs.get(other.id).state == JobState.RUNNING
    assert jobs.claim(mine.job_id, "other") is not None


def test_a_worker_knows_when_a_job_is_no_longer_its_own(jobs: JobStore, hurried: JobStore) -> None:
    job, _ = hurried.submit(spec())
    assert not jobs.is_lost(job.id, "worker")  # its process may be about to claim it
    hurried.claim(job.id, "worker")
    assert not jobs.is_lost(job.id, "worker")
    jobs.claim(job.id, "other")
    assert jobs.is_lost(job.id, "worker")
    assert not jobs.is_lost(job.id, "other")
    jobs.cancel(job.id)
    assert jobs.is_lost(job.id, "other")
    assert jobs.is_lost("none", "worker")


def attempt(
    jobs: JobStore, job_id: str, fraction: float, reason: str = ENDED, stage: str = "evaluation"
) -> Claim:
    claim = jobs.claim(job_id, "worker")
    assert claim is not None
    jobs.report(claim, Progress(fraction=fraction, steps=2, stage=stage))
    jobs.free("worker", reason)
    return claim


def test_a_job_that_gets_no_further_is_given_up(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    for fraction in (0.5, 0.4, 0.5, 0.3, 0.5):  # resumed from a checkpoint, it is behind first
        attempt(jobs, job.id, fraction)
    assert jobs.claim(job.id, "worker") is None
    failed = jobs.get(job.id)
    assert failed.state == JobState.FAILED
    assert failed.error == (
        "given up: its process ended 5 times without getting further than 50% "
        "(last seen: evaluation of 2 steps)"
    )


def test_a_job_given_up_after_kills_names_memory_as_the_likely_cause(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    for _ in range(MAX_ATTEMPTS):
        attempt(jobs, job.id, 0.5, KILLED)
    assert jobs.claim(job.id, "worker") is None
    assert jobs.get(job.id).error == (
        "given up: its process ended 5 times without getting further than 50% (last seen: "
        "evaluation of 2 steps); its process was killed (signal 9), most likely because memory "
        "ran out"
    )


def test_what_a_job_has_found_is_not_lost_because_measuring_ends_its_process(
    jobs: JobStore,
) -> None:
    job, _ = jobs.submit(spec())
    claims = [attempt(jobs, job.id, 0.5) for _ in range(MAX_ATTEMPTS)]
    assert [claim.unmeasured for claim in claims] == [None] * (MAX_ATTEMPTS - 1) + [2]


def test_a_job_whose_search_ends_its_process_has_nothing_to_publish_unmeasured(
    jobs: JobStore,
) -> None:
    job, _ = jobs.submit(spec())
    claims = [attempt(jobs, job.id, 0.5, stage="search") for _ in range(MAX_ATTEMPTS)]
    assert {claim.unmeasured for claim in claims} == {None}


def test_a_job_that_gets_further_may_be_killed_for_ever(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    for n in range(1, 4 * MAX_ATTEMPTS):
        attempt(jobs, job.id, n / 100)
    assert jobs.claim(job.id, "worker") is not None


def test_a_worker_that_is_told_to_stop_is_no_failed_attempt(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    for _ in range(2 * MAX_ATTEMPTS):
        assert jobs.claim(job.id, "worker") is not None
        jobs.hand_back("worker")
    assert jobs.claim(job.id, "worker") is not None
