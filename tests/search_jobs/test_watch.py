"""What a worker does for a job while that has a process, beside its main thread."""

import errno
import logging
import threading
from pathlib import Path
from typing import cast

import pytest
from rq.worker import Worker
from sqlalchemy import delete

from search_jobs import worker as worker_module
from search_jobs.broker import Broker
from search_jobs.errors import BrokerUnavailable
from search_jobs.job_store import JobStore
from search_jobs.queue import SearchQueue
from search_jobs.spec import JobState
from search_jobs.worker import SearchWorker, Watch
from solver_store.database import Database
from solver_store.schema import search_job_events, search_jobs
from solver_store.store import SolverStore
from tests.search_jobs.builders import spec
from tests.search_jobs.processes import WorkerProcess


class Forgetful(JobStore):
    """Its jobs vanish right before one is kept."""

    def keep(self, job_id: str, holder: str) -> None:
        with self.database.writing() as connection:
            connection.execute(delete(search_job_events))
            connection.execute(delete(search_jobs))
        super().keep(job_id, holder)


class Telling(JobStore):
    """Tells when a job was kept."""

    def __init__(self, database: Database, lease_s: float) -> None:
        super().__init__(database, lease_s)
        self.kept = threading.Event()

    def keep(self, job_id: str, holder: str) -> None:
        super().keep(job_id, holder)
        self.kept.set()


class Failing(Broker):
    """A broker whose server does not start any more, for this reason."""

    def __init__(self, reason: Exception) -> None:
        super().__init__("unix:///nowhere")
        self.reason = reason
        self.num_attempts = 0

    def tend(self) -> None:
        self.num_attempts += 1
        raise self.reason


class Standing:
    """In place of a worker: one that has a process and waits for it."""

    name = "worker"
    was_told_to_stop = False

    def __init__(self, jobs: JobStore) -> None:
        self.jobs = jobs
        self.has_ended_it = threading.Event()

    def end_horse(self) -> None:
        self.has_ended_it.set()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LOOK_S", 0.01)
    monkeypatch.setattr(worker_module, "GRACE_S", 0.02)


def test_a_job_that_vanishes_is_lost_and_its_process_is_ended(sqlite_store: SolverStore) -> None:
    jobs = Forgetful(sqlite_store.database)
    job, _ = jobs.submit(spec())
    assert jobs.claim(job.id, "worker") is not None
    worker = Standing(jobs)
    watch = Watch(cast(SearchWorker, worker), job.id)
    watch.start()
    assert worker.has_ended_it.wait(10)
    assert watch.is_alive()
    watch.stop()


def test_the_lease_is_kept_while_the_process_is_silent(
    sqlite_store: SolverStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "KEEP_S", 0.05)
    jobs = Telling(sqlite_store.database, lease_s=0.5)
    job, _ = jobs.submit(spec())
    assert jobs.claim(job.id, "worker") is not None
    watch = Watch(cast(SearchWorker, Standing(jobs)), job.id)
    watch.start()
    for _ in range(3):
        jobs.kept.clear()
        assert jobs.kept.wait(10)
        assert jobs.claim(job.id, "other") is None
    watch.stop()


@pytest.mark.parametrize(
    "reason", [BrokerUnavailable("it fails"), OSError(errno.ENOSPC, "No space left on device")]
)
def test_a_redis_that_does_not_start_is_logged_once_and_the_worker_beats_on(
    reason: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Worker, "heartbeat", lambda worker, timeout, pipeline: None)
    monkeypatch.setattr(worker_module, "BROKER_PAUSE_S", 0.0)
    worker = SearchWorker.__new__(SearchWorker)  # its start asks Redis
    worker.broker = broker = Failing(reason)
    with caplog.at_level(logging.WARNING):
        worker.heartbeat()
        worker.heartbeat()
    assert broker.num_attempts == 2
    assert caplog.messages == [f"no further search can be taken: {reason}"]


def test_between_two_attempts_to_start_redis_is_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "heartbeat", lambda worker, timeout, pipeline: None)
    worker = SearchWorker.__new__(SearchWorker)
    worker.broker = broker = Failing(BrokerUnavailable("it fails"))
    worker.heartbeat()
    worker.heartbeat()
    assert broker.num_attempts == 1


def test_a_worker_that_is_told_to_stop_before_its_job_has_a_process_ends_as_soon(
    queue: SearchQueue, broker: Broker, sqlite_store: SolverStore, tmp_path: Path
) -> None:
    job, _ = queue.submit(spec(budget=100_000))
    with WorkerProcess(tmp_path, broker.url, "tests.search_jobs.interrupted_worker") as worker:
        assert worker.wait(60) == 0  # its start, on a busy machine, included
    assert queue.get(job.id).state == JobState.QUEUED
