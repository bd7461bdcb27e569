"""A job is one worker's at a time; whoever has lost it changes nothing."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from search_jobs.errors import LeaseLost
from search_jobs.job_store import JobStore
from search_jobs.job_writes import Claim
from search_jobs.spec import JobState, Progress
from solver_store.store import SolverStore
from tests.search_jobs.builders import outcome, spec
from tests.search_jobs.job_store.claims import WRITES, Write, claimed, everything, history
from tests.solver_store.builders import nothing_changes

NUM_RACERS = 4


def test_a_claimed_job_runs_and_is_nobody_elses(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    claim = jobs.claim(job.id, "worker")
    assert claim == Claim(job.id, 1, spec())
    running = jobs.get(job.id)
    assert running.state == JobState.RUNNING
    assert running.started_at is not None
    assert jobs.claim(job.id, "other") is None
    jobs.queue_lapsed()
    assert jobs.get(job.id) == running
    assert history(jobs, job.id) == ["queued", "started"]


def test_of_racing_workers_one_gets_the_job(jobs: JobStore) -> None:
    barrier = threading.Barrier(NUM_RACERS)

    def race(job_id: str) -> bool:
        barrier.wait()
        return jobs.claim(job_id, threading.current_thread().name) is not None

    with ThreadPoolExecutor(NUM_RACERS) as threads:
        for _ in range(3):
            job, _ = jobs.submit(spec())
            assert list(threads.map(race, [job.id] * NUM_RACERS)).count(True) == 1


def test_a_lease_that_has_run_out_is_anybodys(jobs: JobStore, hurried: JobStore) -> None:
    lapsed = claimed(hurried)
    taken = jobs.claim(lapsed.job_id, "other")
    assert taken is not None
    assert taken.token > lapsed.token
    assert history(jobs, lapsed.job_id) == ["queued", "started", "started"]


def test_a_lease_that_nobody_took_can_be_kept(jobs: JobStore, hurried: JobStore) -> None:
    lapsed = claimed(hurried)
    jobs.keep(lapsed.job_id, "worker")
    assert jobs.claim(lapsed.job_id, "other") is None


def test_nobody_keeps_the_lease_of_another(jobs: JobStore, hurried: JobStore) -> None:
    lapsed = claimed(hurried)
    jobs.keep(lapsed.job_id, "other")
    assert jobs.claim(lapsed.job_id, "third") is not None


@pytest.mark.parametrize("report", [True, False])
def test_every_sign_of_life_renews_the_lease(
    jobs: JobStore, hurried: JobStore, report: bool
) -> None:
    claim = claimed(hurried)
    if report:
        jobs.report(claim, Progress())
    else:
        jobs.publish(claim, outcome())
    assert jobs.claim(claim.job_id, "other") is None


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_whoever_was_overtaken_changes_nothing(
    jobs: JobStore, hurried: JobStore, store: SolverStore, write: Write
) -> None:
    overtaken = claimed(hurried)
    jobs.claim(overtaken.job_id, "other")
    before = everything(jobs, overtaken.job_id)
    with nothing_changes(store), pytest.raises(LeaseLost, match="token 2, this claim has 1"):
        write(jobs, overtaken)
    assert everything(jobs, overtaken.job_id) == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_whoever_was_given_up_changes_nothing(
    jobs: JobStore, hurried: JobStore, store: SolverStore, write: Write
) -> None:
    given_up = claimed(hurried)
    jobs.queue_lapsed()
    before = everything(jobs, given_up.job_id)
    with nothing_changes(store), pytest.raises(LeaseLost):
        write(jobs, given_up)
    assert everything(jobs, given_up.job_id) == before
