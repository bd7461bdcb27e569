"""A worker: takes one search job after the other, each in a process of its own.

RQ's worker, made to outlive Redis and to let go of nothing:

- The process of a job knows nothing of Redis: it is told the job's id and asks the database.
- That process works at low priority, since serving on the same cores comes first. The worker does
  not, and holds the lease for it: it may wait long for its turn.
- It ends with the worker (tied.py); its lease runs out, and the job is queued again. Where only
  that process ended, the worker frees the job at once.
- A cancelled job's process is given a moment to see it, then it is killed, wherever it is.
- SIGTERM or SIGINT: the running job is handed back, and continues from its checkpoint elsewhere.
- While Redis is away a running job goes on. RQ's own recovery is not used: it knows of leases and
  results only what Redis remembers.
"""

import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

from redis import RedisError
from rq import Queue
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.executions import Execution
from rq.job import Job
from rq.utils import now
from rq.worker import Worker
from rq.worker_registration import clean_worker_registry

from solver_store.errors import StoreError

from . import tied
from .broker import Broker
from .errors import BrokerUnavailable, JobNotFound, SearchError
from .job_store import JobStore
from .job_writes import ENDED, KILLED
from .messages import Message, tidy
from .settings import WorkerSettings
from .spec import JobState

logger = logging.getLogger(__name__)

HEARTBEAT_TTL_S = 10  # a job whose worker has not been heard of for so long is nobody's in Redis
LOOK_S = 0.3  # between two looks whether the running job is still ours
KEEP_S = 1.0  # between two renewals of its lease
BROKER_PAUSE_S = 10.0  # between two attempts to start Redis
GRACE_S = 0.9  # for its process to see that it is not


class SearchWorker(Worker):
    """RQ's worker for Messages; running.py sets `jobs`, `settings` and `broker`."""

    program: tuple[str, ...] = (sys.executable, "-m", "search_jobs", "perform")
    exponential_backoff_factor = 1.0  # Redis away: try again each second
    jobs: JobStore
    settings: WorkerSettings
    broker: Broker | None = None
    _has_ended_horse = False  # the one that runs, or ran last
    _was_horse_killed = False  # and not by us
    _trouble = ""  # what the log has said last of the broker
    _tend_at = 0.0  # not before: monotonic()
    last_cleaned_at: Any  # RQ's type for it is None

    def execute_job(self, job: Job, queue: Queue) -> None:
        assert isinstance(job, Message)
        watch = Watch(self, job.search_job_id)
        watch.start()
        try:
            with redis_may_be_away():
                self._execute(job, queue)
        finally:
            watch.stop()
            self._see_it_dead()
            self._leave(job.search_job_id)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Start the process of a job, in a session of its own: Ctrl+C does not reach it."""
        assert isinstance(job, Message)
        tie = (sys.executable, "-I", tied.__file__, str(os.getpid()), str(int(signal.SIGKILL)))
        command = [*tie, *self.program, self.name, job.search_job_id]
        self._has_ended_horse = self._was_horse_killed = False
        self._horse_pid = os.posix_spawn(command[0], command, os.environ, setsid=True)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return HEARTBEAT_TTL_S

    @property
    def was_told_to_stop(self) -> bool:
        return self._shutdown_requested_date is not None

    def handle_warm_shutdown_request(self) -> None:
        super().handle_warm_shutdown_request()
        self.end_horse()

    def end_horse(self) -> None:
        """Kill the process of the running job and all that it has started, from any thread."""
        pid = self.horse_pid
        if pid:
            self._has_ended_horse = True
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # it leads a group of its own

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        """RQ warns of a death that it did not order; those that we order are no news."""
        pid, status, usage = super().wait_for_horse()
        if self._has_ended_horse:
            return pid, os.EX_OK, usage
        self._was_horse_killed = status is not None and _was_killed(status)
        return pid, status, usage

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        with redis_may_be_away():
            super().heartbeat(timeout, pipeline)
        if self.broker is not None:
            self._tend(self.broker)

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        with redis_may_be_away():
            super().maintain_heartbeats(job, execution)

    def set_state(self, state: str, pipeline: Any = None) -> None:
        with redis_may_be_away():
            super().set_state(state, pipeline)

    def set_shutdown_requested_date(self) -> None:
        with redis_may_be_away():
            super().set_shutdown_requested_date()

    def run_maintenance_tasks(self) -> None:
        with redis_may_be_away():
            for queue in self.queues:
                tidy(queue)
                clean_worker_registry(queue)
        self.last_cleaned_at = now()

    def check_for_suspension(self, burst: bool) -> None:
        """Nobody suspends our workers through Redis …"""

    def subscribe(self) -> None:
        """… and nobody commands them."""

    def teardown(self) -> None:
        with redis_may_be_away():
            super().teardown()

    def _tend(self, broker: Broker) -> None:
        """A running job needs no Redis: what fails here must not end it."""
        if monotonic() < self._tend_at:
            return
        try:
            broker.tend()
        except (BrokerUnavailable, OSError) as error:
            if str(error) != self._trouble:
                logger.warning("no further search can be taken: %s", error)
            self._trouble = str(error)
            self._tend_at = monotonic() + BROKER_PAUSE_S
        else:
            self._trouble = ""

    def _execute(self, message: Message, queue: Queue) -> None:
        """What RQ does, but that the worker and not the job's process keeps the books in Redis."""
        execution = self.prepare_execution(message)
        self.prepare_job_execution(message, remove_from_intermediate_queue=True)
        self.fork_work_horse(message, queue)
        self.monitor_work_horse(message, queue, execution)
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(message, pipeline, execution)
            pipeline.delete(message.key)
            pipeline.execute()

    def _see_it_dead(self) -> None:
        if self.horse_pid:
            self.end_horse()
            self.wait_for_horse()
            self._horse_pid = 0

    def _leave(self, job_id: str) -> None:
        """The process of a job has ended: see that nothing of it is left."""
        try:
            if self._stop_requested:
                self.jobs.hand_back(self.name)
            else:
                reason = KILLED if self._was_horse_killed else ENDED
                if self._was_horse_killed:
                    logger.error("search job %s: %s", job_id, reason)
                self.jobs.free(self.name, reason)
            if self.jobs.get(job_id).state in (JobState.SUCCEEDED, JobState.CANCELLED):
                shutil.rmtree(self.settings.workspace(job_id), ignore_errors=True)
        except (StoreError, SearchError) as error:
            logger.warning("the lease of search job %s has to run out: %s", job_id, error)


def _was_killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


class Watch(threading.Thread):
    """Holds the lease of a job while its process lives, however seldom that gets its turn.

    Ends the process where the job is cancelled, or another worker has taken it over. The process
    sees that by itself, unless it is in the middle of a long computation. Also ends it where the
    worker was told to stop.
    """

    def __init__(self, worker: SearchWorker, job_id: str) -> None:
        super().__init__(name="watch", daemon=True)
        self._worker = worker
        self._job_id = job_id
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        kill_at = None
        keep_at = monotonic()
        while not self._stopping.wait(LOOK_S):
            if self._worker.was_told_to_stop:
                self._worker.end_horse()  # the signal may have come before there was a process
            if not self._is_lost():
                if monotonic() >= keep_at:
                    self._keep()
                    keep_at = monotonic() + KEEP_S
                continue
            kill_at = kill_at or monotonic() + GRACE_S
            if monotonic() >= kill_at:
                self._worker.end_horse()

    def _keep(self) -> None:
        # Of the store's errors the process logs the same. That there is no such job any more, the
        # next look sees, too: then it is lost.
        with suppress(StoreError, JobNotFound):
            self._worker.jobs.keep(self._job_id, self._worker.name)

    def _is_lost(self) -> bool:
        try:
            return self._worker.jobs.is_lost(self._job_id, self._worker.name)
        except StoreError:  # the process asks, too, and logs it
            return False


@contextmanager
def redis_may_be_away() -> Iterator[None]:
    """It may also be back and have forgotten what RQ asks it for."""
    try:
        yield
    except (RedisError, InvalidJobOperation, NoSuchJobError) as error:
        logger.warning("Redis: %s", error)
