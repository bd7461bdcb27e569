"""Jobs are asked for, once for each key, and found again."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from search_jobs.errors import JobNotFound, KeyReused
from search_jobs.job_store import JobStore
from search_jobs.job_writes import Waiting
from search_jobs.spec import JobState, Progress
from solver_store.errors import RecordError
from tests.search_jobs.builders import spec

NUM_RACERS = 4


def test_a_job_is_read_back_as_it_was_asked_for(jobs: JobStore) -> None:
    before = datetime.now(UTC)
    asked = spec(steps=(5, 8, 6), seed=7)
    job, is_new = jobs.submit(asked)
    assert is_new
    assert jobs.get(job.id) == job
    assert (job.state, job.spec, job.results, job.error) == (JobState.QUEUED, asked, (), None)
    assert job.progress == Progress()
    assert before <= job.created_at <= datetime.now(UTC)
    assert (job.started_at, job.finished_at) == (None, None)
    (queued,) = jobs.events(job.id)
    assert (queued.kind, queued.data) == ("queued", {"spec": asked.model_dump(mode="json")})


def test_the_same_key_means_the_same_job(jobs: JobStore) -> None:
    first, _ = jobs.submit(spec(), "key")
    assert jobs.submit(spec(), "key") == (first, False)
    with pytest.raises(KeyReused, match=first.id):
        jobs.submit(spec(seed=1), "key")
    assert jobs.submit(spec(), "other key")[1]
    assert jobs.submit(spec())[1]
    assert jobs.submit(spec())[1]
    assert len(jobs.jobs()) == 4


def test_a_key_still_means_its_job_after_the_end(jobs: JobStore) -> None:
    first, _ = jobs.submit(spec(), "key")
    cancelled = jobs.cancel(first.id)
    assert jobs.submit(spec(), "key") == (cancelled, False)


@pytest.mark.parametrize("key", ["k" * 201, "a\0b", "\ud800"])
def test_a_key_that_cannot_be_kept_is_refused(jobs: JobStore, key: str) -> None:
    with pytest.raises(RecordError, match="idempotency key"):
        jobs.submit(spec(), key)
    assert jobs.jobs() == []


def test_racing_requests_with_one_key_make_one_job(jobs: JobStore) -> None:
    barrier = threading.Barrier(NUM_RACERS)

    def race(_: int) -> tuple[str, bool]:
        barrier.wait()
        job, is_new = jobs.submit(spec(), "key")
        return job.id, is_new

    with ThreadPoolExecutor(NUM_RACERS) as threads:
        made = list(threads.map(race, range(NUM_RACERS)))
    assert len({job_id for job_id, _ in made}) == 1
    assert [is_new for _, is_new in made].count(True) == 1


def test_jobs_are_listed_newest_first(jobs: JobStore) -> None:
    made = [jobs.submit(spec(seed=n))[0].id for n in range(3)]
    jobs.cancel(made[1])
    assert [job.id for job in jobs.jobs()] == made[::-1]
    assert [job.id for job in jobs.jobs(limit=2)] == [made[2], made[1]]
    assert [job.id for job in jobs.jobs(JobState.CANCELLED)] == [made[1]]
    counts = dict.fromkeys(JobState, 0) | {JobState.QUEUED: 2, JobState.CANCELLED: 1}
    assert jobs.counts() == counts
    assert jobs.queued() == [Waiting(made[0], 0), Waiting(made[2], 0)]


@pytest.mark.parametrize("job_id", ["none", "", "a\0b", "x" * 500])
def test_a_job_that_is_not_there_is_not_found(jobs: JobStore, job_id: str) -> None:
    asks: list[Callable[[str], object]] = [
        jobs.get,
        jobs.events,
        jobs.cancel,
        jobs.stop,
        lambda unknown: jobs.claim(unknown, "worker"),
    ]
    for ask in asks:
        with pytest.raises(JobNotFound, match="no search job"):
            ask(job_id)
