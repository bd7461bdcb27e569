"""Damaged records and locked databases."""

from contextlib import closing

import pytest
from sqlalchemy import text

from search_jobs.job_store import JobStore
from search_jobs.spec import JobState
from solver_store.errors import StoreDamaged, StoreUnavailable
from solver_store.store import SolverStore
from tests.search_jobs.builders import outcome, spec
from tests.search_jobs.job_store.claims import WRITES, claimed, everything

DAMAGES = [
    "UPDATE search_jobs SET spec_json = '{}'",
    "UPDATE search_jobs SET progress_json = 'x'",
    "UPDATE search_jobs SET state = 'lost'",
    "UPDATE search_job_results SET result_json = '[]'",
]


def do(jobs: JobStore, damage: str) -> None:
    with jobs.database.writing() as connection:
        connection.execute(text(damage))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_refused(jobs: JobStore, damage: str) -> None:
    claim = claimed(jobs)
    jobs.publish(claim, outcome())
    do(jobs, damage)
    with pytest.raises(StoreDamaged, match=claim.job_id):
        jobs.get(claim.job_id)


@pytest.mark.parametrize("damage", DAMAGES)
def test_lists_leave_a_damaged_record_out_and_the_log_says_so_once(
    jobs: JobStore, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    claim = claimed(jobs)
    jobs.publish(claim, outcome())
    do(jobs, damage)
    sound, _ = jobs.submit(spec())
    assert jobs.jobs() == jobs.jobs() == [sound]
    assert jobs.counts()[JobState.QUEUED] == 1
    assert [claim.job_id in line for line in caplog.messages] == [True]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_that_waits_ends_as_failed(jobs: JobStore, damage: str) -> None:
    claim = claimed(jobs)
    jobs.publish(claim, outcome())
    jobs.hand_back("worker")
    do(jobs, damage)
    assert jobs.claim(claim.job_id, "other") is None
    assert jobs.queued() == []
    assert jobs.counts()[JobState.FAILED] == 1
    told = jobs.events(claim.job_id)[-1]
    assert told.kind == "finished"
    assert "cannot be read" in told.data["error"]


def test_a_locked_database_is_unavailable_and_nothing_changes(
    jobs: JobStore, database_url: str
) -> None:
    claim = claimed(jobs)
    before = everything(jobs, claim.job_id)
    writes = [write for name, write in WRITES.items() if name != "look"]
    with closing(SolverStore.open(database_url, timeout_s=0.05)) as opened:
        waiting = JobStore(opened.database)
        with jobs.database.writing():
            for write in writes:
                with pytest.raises(StoreUnavailable, match="lock"):
                    write(waiting, claim)
            with pytest.raises(StoreUnavailable, match="lock"):
                waiting.submit(spec())
        assert everything(jobs, claim.job_id) == before
        for write in writes[:3]:
            write(waiting, claim)
