"""Search jobs from the outside: ask for one, follow it, end it.

The database is the truth (job_store.py); Redis wakes a worker. A job is kept before Redis hears of
it, and `reconcile` tells Redis again what it has missed or forgotten, so that a Redis that is away,
killed or wiped costs time and never a job. A job that reaches two workers is done by one.
"""

import logging

from redis import Redis, RedisError

from solver_store.database import Database

from .broker import Broker, connect
from .errors import BrokerUnavailable
from .job_store import JobStore
from .job_writes import Waiting
from .messages import known_to, open_queue, send
from .spec import JobEvent, JobState, SearchJob, SearchSpec

logger = logging.getLogger(__name__)

_TELLING_MS = 1000  # two processes that reconcile at once tell Redis once


class SearchQueue:
    """The jobs' door. Without a broker jobs are kept, and wait.

    Methods raise StoreUnavailable when the database cannot be reached, and nothing when Redis is
    away. Threads may share it.
    """

    def __init__(self, jobs: JobStore, broker: Broker | None) -> None:
        self._jobs = jobs
        self._redis: Redis | None = None if broker is None else connect(broker.url)

    @classmethod
    def open(cls, database: Database, broker: Broker | None) -> "SearchQueue":
        """On a database that SolverStore.open has migrated, which stays its opener's to close."""
        return cls(JobStore(database), broker)

    def close(self) -> None:
        if self._redis is not None:
            self._redis.close()

    def submit(
        self, spec: SearchSpec, idempotency_key: str | None = None
    ) -> tuple[SearchJob, bool]:
        """Keep a search and wake a worker; returns the job, and whether it is new.

        The same key with the same spec returns the first job.
        Raises KeyReused for a key that came with another spec, RecordError for one that is no text.
        """
        job, is_new = self._jobs.submit(spec, idempotency_key)
        if is_new and self._redis is not None:
            try:
                self._tell(self._redis, Waiting(job.id, token=0))
            except RedisError as error:
                logger.warning("search job %s is kept, but Redis is away: %s", job.id, error)
        return job, is_new

    def get(self, job_id: str) -> SearchJob:
        """Raises JobNotFound."""
        return self._jobs.get(job_id)

    def jobs(self, state: JobState | None = None, limit: int = 100) -> list[SearchJob]:
        """The newest first."""
        return self._jobs.jobs(state, limit)

    def ended(self, state: JobState, limit: int = 100) -> list[SearchJob]:
        """Jobs that have run and ended in this state; what ended last comes first."""
        return self._jobs.ended(state, limit)

    def cancel(self, job_id: str) -> SearchJob:
        """End a job at once; its process follows within two seconds.

        Raises JobNotFound, JobFinished.
        """
        return self._jobs.cancel(job_id)

    def stop(self, job_id: str) -> SearchJob:
        """Let a job end now and keep its best so far; one that never ran is cancelled.

        Raises JobNotFound, JobFinished.
        """
        return self._jobs.stop(job_id)

    def events(self, job_id: str, after: int = 0) -> list[JobEvent]:
        """The first MAX_EVENTS with numbers above `after`. Raises JobNotFound."""
        return self._jobs.events(job_id, after)

    def last_event(self, job_id: str) -> int:
        """The number of a job's newest event. Raises JobNotFound."""
        return self._jobs.last_event(job_id)

    def counts(self) -> dict[JobState, int]:
        return self._jobs.counts()

    def reconcile(self) -> None:
        """Queue again what a lost worker held, and tell Redis of all that waits and it lacks.

        Cheap where there is nothing to do, so it may be called every second, by several processes.
        Raises BrokerUnavailable when Redis is away.
        """
        self._jobs.queue_lapsed()
        waiting = self._jobs.queued()
        if not waiting or self._redis is None:
            return
        try:
            known = known_to(self._redis)
            for job in waiting:
                if job not in known:
                    self._tell(self._redis, job)
        except RedisError as error:
            raise BrokerUnavailable(f"Redis is away: {error}") from error

    def _tell(self, redis: Redis, job: Waiting) -> None:
        if redis.set(f"fewstep:told:{job.job_id}:{job.token}", 1, nx=True, px=_TELLING_MS):
            send(open_queue(redis), job)
