"""Workers as processes on a real Redis, killed and cut off: no job is lost, none is done twice."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from search_jobs.broker import Broker
from search_jobs.job_store import LEASE_S
from search_jobs.job_writes import ENDED, KILLED, Waiting
from search_jobs.messages import QUEUE_NAME, open_queue, send
from search_jobs.queue import SearchQueue
from search_jobs.spec import JobState, SearchJob
from solver_store.store import SolverStore
from tests.search_jobs.builders import spec
from tests.search_jobs.processes import WorkerProcess, is_alive
from tests.search_jobs.quick_search import Mishap, shade_of
from tests.service.live import wait_until
from tests.solver_store.builders import euler

NAME = "glyphs-g2.2-2"
RESUMED_S = 15.0
ENDED_S = 2.0
LINKS = 300  # at least three seconds


@pytest.fixture
def worker(broker: Broker, queue: SearchQueue, tmp_path: Path) -> Iterator[WorkerProcess]:
    with WorkerProcess(tmp_path, broker.url) as running:
        yield running


@pytest.fixture
def pid_of(tmp_path: Path) -> Callable[[str], int]:
    """The process of a job, once it has one."""

    def read(job_id: str) -> int:
        file = tmp_path / "searches" / job_id / "pid"
        wait_until(file.exists)
        wait_until(lambda: file.read_text() != "")
        return int(file.read_text())

    return read


def submit(queue: SearchQueue, links: int = 100, seed: int = 0) -> str:
    return queue.submit(spec(budget=links, seed=seed))[0].id


def wait_for_progress(queue: SearchQueue, job_id: str, more_than: float = 0.0) -> SearchJob:
    wait_until(lambda: queue.get(job_id).progress.fraction > more_than)
    return queue.get(job_id)


def wait_for_the_end(queue: SearchQueue, job_id: str) -> SearchJob:
    wait_until(lambda: queue.get(job_id).finished_at is not None)
    return queue.get(job_id)


def wait_for_attempts(queue: SearchQueue, job_id: str, number: int) -> None:
    wait_until(lambda: num_attempts(queue, job_id) >= number)


def wait_for_death(process: int) -> None:
    wait_until(lambda: not is_alive(process))


def num_attempts(queue: SearchQueue, job_id: str) -> int:
    return [event.kind for event in queue.events(job_id)].count("started")


def assert_found(store: SolverStore, job: SearchJob, links: int = 100) -> None:
    """The job has published exactly what a search that nobody disturbs comes to."""
    assert (job.state, job.error) == (JobState.SUCCEEDED, None)
    (version,) = store.versions(NAME)
    assert version.table == euler(2, shade_of(job.spec.seed, links))
    (result,) = job.results
    assert (result.solver.version, result.promoted) == (1, ("champion",))
    assert len(version.evidence) == 1
    assert len(store.alias_history(NAME)) == 1


@pytest.mark.slow
def test_a_worker_killed_at_any_moment_costs_time_and_nothing_else(
    worker: WorkerProcess,
    queue: SearchQueue,
    sqlite_store: SolverStore,
    pid_of: Callable[[str], int],
) -> None:
    chance = random.Random(0)
    job_id = submit(queue, LINKS)
    for attempt in range(1, 3):
        reached = wait_for_progress(queue, job_id).progress.fraction
        wait_for_progress(queue, job_id, reached)
        time.sleep(chance.uniform(0, 1))  # not waiting for anything: any moment will do
        process = pid_of(job_id)
        worker.kill()
        wait_for_death(process)
        killed_at = time.monotonic()
        worker.start()
        wait_for_attempts(queue, job_id, attempt + 1)
        assert time.monotonic() - killed_at < RESUMED_S
    assert_found(sqlite_store, wait_for_the_end(queue, job_id), LINKS)


@pytest.mark.parametrize(("by", "reason"), [(signal.SIGKILL, KILLED), (signal.SIGABRT, ENDED)])
def test_a_job_whose_process_is_killed_goes_on_at_once(
    worker: WorkerProcess,
    queue: SearchQueue,
    sqlite_store: SolverStore,
    pid_of: Callable[[str], int],
    by: signal.Signals,
    reason: str,
) -> None:
    job_id = submit(queue)
    wait_for_progress(queue, job_id)
    os.kill(pid_of(job_id), by)
    wait_for_attempts(queue, job_id, 2)
    assert reason in [event.data.get("reason") for event in queue.events(job_id)]
    is_said = f"search job {job_id}: {KILLED}" in worker.log.read_text()
    assert is_said == (by == signal.SIGKILL), "memory is named only where it may be the cause"
    assert_found(sqlite_store, wait_for_the_end(queue, job_id))


def test_redis_may_die_and_forget_while_a_job_runs(
    worker: WorkerProcess,
    queue: SearchQueue,
    broker: Broker,
    sqlite_store: SolverStore,
    tmp_path: Path,
) -> None:
    job_id = submit(queue)
    next_id = submit(queue, seed=1)
    wait_for_progress(queue, job_id)
    broker.close()
    shutil.rmtree(tmp_path / "redis" / "appendonlydir")
    late_id = submit(queue, seed=2)
    assert_found(sqlite_store, wait_for_the_end(queue, job_id))  # it needs no Redis
    assert num_attempts(queue, job_id) == 1
    broker.tend()
    for other in (next_id, late_id):
        assert wait_for_the_end(queue, other).state == JobState.SUCCEEDED
        assert num_attempts(queue, other) == 1
    assert worker.is_running()


@pytest.mark.parametrize("mishap", [Mishap.ASLEEP, Mishap.DEAF])
def test_a_cancelled_job_ends_in_the_middle_of_a_computation(
    worker: WorkerProcess,
    queue: SearchQueue,
    pid_of: Callable[[str], int],
    tmp_path: Path,
    mishap: Mishap,
) -> None:
    job_id = submit(queue, seed=mishap)
    wait_for_progress(queue, job_id)
    process = pid_of(job_id)
    cancelled_at = time.monotonic()
    assert queue.cancel(job_id).state == JobState.CANCELLED
    wait_for_death(process)
    assert time.monotonic() - cancelled_at < ENDED_S
    wait_until(lambda: not (tmp_path / "searches" / job_id).exists())
    next_id = submit(queue)
    assert wait_for_the_end(queue, next_id).state == JobState.SUCCEEDED
    log = worker.log.read_text()
    assert "is ready for search jobs" in log
    assert "WARNING" not in log, "it was asked for"


def test_a_stopped_job_keeps_the_best_so_far(
    worker: WorkerProcess, queue: SearchQueue, sqlite_store: SolverStore
) -> None:
    job_id = submit(queue, 100_000)
    wait_for_progress(queue, job_id)
    queue.stop(job_id)
    job = wait_for_the_end(queue, job_id)
    assert job.state == JobState.SUCCEEDED
    assert len(job.results) == 1
    assert len(sqlite_store.versions(NAME)) == 1


def test_a_worker_that_is_told_to_stop_hands_its_job_back(
    worker: WorkerProcess,
    queue: SearchQueue,
    sqlite_store: SolverStore,
    pid_of: Callable[[str], int],
) -> None:
    job_id = submit(queue)
    wait_for_progress(queue, job_id)
    process = pid_of(job_id)
    assert worker.ask_to_end() == 0
    assert not is_alive(process)
    assert queue.get(job_id).state == JobState.QUEUED
    assert queue.events(job_id)[-1].data["reason"] == "its worker was stopped"
    worker.start()
    assert_found(sqlite_store, wait_for_the_end(queue, job_id))


def test_two_workers_on_one_job_do_it_once(
    worker: WorkerProcess,
    queue: SearchQueue,
    broker: Broker,
    sqlite_store: SolverStore,
    tmp_path: Path,
) -> None:
    with WorkerProcess(tmp_path, broker.url), Redis.from_url(broker.url) as redis:
        job_id = submit(queue)
        send(open_queue(redis), Waiting(job_id, 0))
        send(open_queue(redis), Waiting(job_id, 0))
        assert_found(sqlite_store, wait_for_the_end(queue, job_id))
        wait_until(lambda: open_queue(redis).count == 0)
    assert num_attempts(queue, job_id) == 1


@pytest.mark.slow
def test_a_worker_that_was_thought_dead_publishes_nothing(
    worker: WorkerProcess,
    queue: SearchQueue,
    broker: Broker,
    sqlite_store: SolverStore,
    tmp_path: Path,
    pid_of: Callable[[str], int],
) -> None:
    """It stands still with its process, as on a laptop that sleeps; another takes the job."""
    job_id = submit(queue)
    wait_for_progress(queue, job_id)
    process = pid_of(job_id)
    for pid in (worker.pid, process):
        os.kill(pid, signal.SIGSTOP)
    with WorkerProcess(tmp_path, broker.url):
        wait_for_attempts(queue, job_id, 2)
        for pid in (process, worker.pid):
            os.kill(pid, signal.SIGCONT)
        wait_for_death(process)
        assert_found(sqlite_store, wait_for_the_end(queue, job_id))
    assert num_attempts(queue, job_id) == 2


def test_whoever_writes_into_redis_can_run_nothing(
    worker: WorkerProcess, queue: SearchQueue, broker: Broker, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    with Redis.from_url(broker.url) as redis:
        strangers = Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer)
        strangers.enqueue_call("os.mkdir", args=(str(marker),))
        strangers.enqueue_call("os.mkdir", args=(str(marker),), on_success=None)
        callback = strangers.enqueue_call("search_jobs.job.perform", args=("20261123-none",))
        redis.hset(callback.key, mapping={"success_callback_name": "os.mkdir"})
        redis.lpush(strangers.key, "no-such-message", "../../x", "a-string")
        redis.set("rq:job:a-string", "text")
        job_id = submit(queue)
        assert wait_for_the_end(queue, job_id).state == JobState.SUCCEEDED
        wait_until(lambda: redis.llen(strangers.key) == 0)
    assert not marker.exists()
    assert worker.is_running()


def test_nothing_is_left_in_redis_by_a_job_that_is_done(
    worker: WorkerProcess, queue: SearchQueue, broker: Broker, tmp_path: Path
) -> None:
    job_id = submit(queue)
    wait_for_the_end(queue, job_id)
    with Redis.from_url(broker.url) as redis:
        wait_until(lambda: not list(redis.scan_iter("rq:job:*")))
        assert open_queue(redis).started_job_registry.count == 0
    wait_until(lambda: not (tmp_path / "searches" / job_id).exists())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_the_process_of_a_job_yields_to_others_and_its_worker_does_not(
    worker: WorkerProcess, queue: SearchQueue, pid_of: Callable[[str], int]
) -> None:
    job_id = submit(queue, seed=Mishap.ASLEEP)
    wait_for_progress(queue, job_id)
    priorities = [os.getpriority(os.PRIO_PROCESS, pid) for pid in (worker.pid, pid_of(job_id))]
    assert priorities == [os.getpriority(os.PRIO_PROCESS, 0), 15]


@pytest.mark.slow
def test_a_job_whose_process_gets_no_processor_time_is_not_taken_away(
    worker: WorkerProcess,
    queue: SearchQueue,
    sqlite_store: SolverStore,
    pid_of: Callable[[str], int],
) -> None:
    """As where requests keep all cores busy for longer than a lease."""
    job_id = submit(queue)
    wait_for_progress(queue, job_id)
    os.kill(pid_of(job_id), signal.SIGSTOP)
    lapsed_at = time.monotonic() + LEASE_S + 1
    wait_until(lambda: time.monotonic() > lapsed_at)
    os.kill(pid_of(job_id), signal.SIGCONT)
    assert_found(sqlite_store, wait_for_the_end(queue, job_id))
    assert num_attempts(queue, job_id) == 1
