"""The records of search jobs, in the store's own database.

The contract, the same on SQLite and PostgreSQL:

- **A job is what its record says.** Redis carries ids and nothing else, and may forget them.
- **States**: queued → running → succeeded, failed or cancelled. A running job is queued again when
  whoever worked on it is gone. A job that has ended never changes.
- **A lease**: whoever claims a job holds it for LEASE_S, and longer with every renewal. A lease
  that has run out is anybody's; until somebody takes it, its holder may still renew it.
- **A fence**: each claim of a job has the next higher token, and every write that comes with a
  claim looks in its own transaction whether the job is still running under that token. Whoever was
  overtaken gets LeaseLost, or JobCancelled, and has changed nothing.
- **Published once**: the table, its evidence, the moves of aliases, the job's result and its event
  are one transaction. For each step count the first result stands; a repetition returns it.
- **It does not try for ever**: a job whose process has ended MAX_ATTEMPTS times without getting
  further than ever before has failed. Where it was measuring that it did not survive, the last
  claim says so, and what was found is published without.
- **Events** count 1, 2, 3 … within a job, without gaps, and tell all that happened to it.

Any method raises StoreUnavailable when the database cannot be reached or stays locked: then nothing
was changed, or, where an answer was lost, doing the same again is safe.
Threads may share a JobStore. Processes open their own.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from solver_store.database import Database
from solver_store.errors import StoreDamaged
from solver_store.records import check_text
from solver_store.schema import search_job_events as events
from solver_store.schema import search_jobs as jobs

from . import job_writes as writes
from .control import StepOutcome
from .errors import KeyReused
from .job_rows import (
    job_of_key,
    job_row,
    last_number,
    now,
    read_event,
    read_job,
    read_jobs,
    read_result,
    read_spec,
    result_row,
)
from .job_writes import ENDED, Claim, Waiting
from .publishing import publish_outcome
from .spec import TERMINAL, JobEvent, JobState, Progress, SearchJob, SearchSpec, StepResult

logger = logging.getLogger(__name__)

LEASE_S = 6.0
MAX_ATTEMPTS = 5
MAX_KEY_LENGTH = 200
MAX_EVENTS = 1000  # in one answer


class JobStore:
    """The records' door; see the module for its contract."""

    def __init__(self, database: Database, lease_s: float = LEASE_S) -> None:
        self.database = database
        self.lease = timedelta(seconds=lease_s)
        self._left_out: set[str] = set()  # what the log has said of records that cannot be read

    # For those who ask for a search

    def submit(
        self, spec: SearchSpec, idempotency_key: str | None = None
    ) -> tuple[SearchJob, bool]:
        """Keep a new job; returns it, and whether it is new.

        The same key with the same spec returns the first job.
        Raises KeyReused for a key that came with another spec, RecordError for one that is no text.
        """
        if idempotency_key is not None:
            check_text("the idempotency key", idempotency_key, MAX_KEY_LENGTH)
        with self.database.writing() as connection:
            known = job_of_key(connection, idempotency_key)
            if known is not None:
                if read_spec(known) != spec:
                    raise KeyReused(
                        f"the idempotency key {idempotency_key!r} came with another search, "
                        f"{known.id}"
                    )
                return read_job(connection, known), False
            job_id = writes.insert_job(connection, spec, idempotency_key)
            return self._read(connection, job_id), True

    def get(self, job_id: str) -> SearchJob:
        """Raises JobNotFound, StoreDamaged."""
        with self.database.reading() as connection:
            return self._read(connection, job_id)

    def jobs(self, state: JobState | None = None, limit: int = 100) -> list[SearchJob]:
        """The newest first; a record that cannot be read is left out and logged."""
        query = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
        return self._list(query if state is None else query.where(jobs.c.state == state))

    def ended(self, state: JobState, limit: int = 100) -> list[SearchJob]:
        """Jobs that have run and ended in this state; what ended last comes first."""
        query = select(jobs).where(jobs.c.state == state, jobs.c.started_at.is_not(None))
        return self._list(query.order_by(jobs.c.finished_at.desc(), jobs.c.id.desc()).limit(limit))

    def events(self, job_id: str, after: int = 0) -> list[JobEvent]:
        """The first MAX_EVENTS events with numbers above `after`. Raises JobNotFound."""
        query = (
            select(events)
            .where(events.c.job_id == job_id, events.c.number > after)
            .order_by(events.c.number)
            .limit(MAX_EVENTS)
        )
        with self.database.reading() as connection:
            job_row(connection, job_id)
            return [read_event(row) for row in connection.execute(query)]

    def last_event(self, job_id: str) -> int:
        """The number of a job's newest event; every job has one. Raises JobNotFound."""
        with self.database.reading() as connection:
            job_row(connection, job_id)
            return last_number(connection, job_id)

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state; one that is none is not counted."""
        states = jobs.c.state.in_(list(JobState))
        query = select(jobs.c.state, func.count()).where(states).group_by(jobs.c.state)
        with self.database.reading() as connection:
            found = {JobState(state): count for state, count in connection.execute(query)}
        return dict.fromkeys(JobState, 0) | found

    def cancel(self, job_id: str) -> SearchJob:
        """End a job at once: whoever works on it can write nothing more. What it has published
        stays. Raises JobNotFound, JobFinished.
        """
        with self.database.writing() as connection:
            writes.unfinished(connection, job_id)
            writes.end(connection, job_id, JobState.CANCELLED)
            return self._read(connection, job_id)

    def stop(self, job_id: str) -> SearchJob:
        """Ask a running job to end now and keep the best so far; a queued one is cancelled, for
        it has none, unless it was running before. So is a running one, by its process, where that
        has found nothing yet. Raises JobNotFound, JobFinished.
        """
        with self.database.writing() as connection:
            row = writes.unfinished(connection, job_id)
            if row.started_at is None:
                writes.end(connection, job_id, JobState.CANCELLED)
            elif not row.stop_requested:
                writes.change(connection, job_id, {"stop_requested": True})
                writes.append_event(connection, job_id, "stopping", "{}")
            return self._read(connection, job_id)

    # For those who work on it

    def claim(self, job_id: str, holder: str) -> Claim | None:
        """Take a queued job, or a running one whose lease has run out.

        holder names who takes it: a worker, one job at a time. None where there is nothing to do:
        somebody works on it, it has ended, or it ends here, because of too many attempts or
        because its record cannot be read. Raises JobNotFound.
        """
        with self.database.writing() as connection:
            row, moment = job_row(connection, job_id), now(connection)
            if row.state in TERMINAL or (
                row.state == JobState.RUNNING and row.lease_until > moment
            ):
                return None
            try:
                spec = read_job(connection, row).spec
            except StoreDamaged as error:  # no worker could ever read it: it would wait for ever
                self._leave_out(error)
                writes.end(connection, job_id, JobState.FAILED, str(error))
                return None
            if row.attempts >= MAX_ATTEMPTS:
                writes.end(connection, job_id, JobState.FAILED, writes.gave_up(connection, row))
                return None
            values = {
                "holder": holder,
                "lease_until": moment + self.lease,
                "started_at": row.started_at or moment,
            }
            is_last = row.attempts + 1 == MAX_ATTEMPTS
            return writes.take(connection, row, spec, values, is_last)

    def stop_requested(self, claim: Claim) -> bool:
        """Whether the job is to end and keep the best so far. Raises LeaseLost, JobCancelled."""
        with self.database.reading() as connection:
            return bool(writes.held(connection, claim).stop_requested)

    def report(self, claim: Claim, progress: Progress) -> None:
        """Say how far it is, as an event, and renew the lease. Raises LeaseLost, JobCancelled."""
        with self.database.writing() as connection:
            row = writes.held(connection, claim)
            values: dict[str, Any] = {"progress_json": progress.model_dump_json()}
            if progress.fraction > row.furthest:
                values |= {"furthest": progress.fraction, "attempts": 1}
            self._renew(connection, claim.job_id, values)
            told = progress.model_dump_json(exclude={"candidate"})
            writes.append_event(connection, claim.job_id, "progress", told)

    def result(self, job_id: str, steps: int) -> StepResult | None:
        """What the job has published for this step count already. Raises StoreDamaged."""
        with self.database.reading() as connection:
            row = result_row(connection, job_id, steps)
            return None if row is None else read_result(row)

    def publish(self, claim: Claim, outcome: StepOutcome) -> StepResult:
        """Publish and promote what was found, once for each step count; returns what stands.

        Raises LeaseLost, JobCancelled, and the store's InvalidReference, RecordError, NameMismatch.
        """
        with self.database.writing() as connection:
            writes.held(connection, claim)
            known = result_row(connection, claim.job_id, outcome.steps)
            if known is not None:
                return read_result(known)
            result = publish_outcome(connection, outcome, by=f"search job {claim.job_id}")
            writes.insert_result(connection, claim.job_id, result)
            self._renew(connection, claim.job_id)
            return result

    def finish(self, claim: Claim, state: JobState, error: str | None = None) -> None:
        """End the job. Raises LeaseLost, JobCancelled; may be repeated."""
        with self.database.writing() as connection:
            row = job_row(connection, claim.job_id)
            if (row.token, row.state) != (claim.token, state):
                writes.held(connection, claim)
                writes.end(connection, claim.job_id, state, error)

    # For those who look after the workers

    def hand_back(self, holder: str) -> None:
        """Queue again what a worker leaves because it was told to: this attempt does not count."""
        self._queue_again(jobs.c.holder == holder, "its worker was stopped", num_attempts=-1)

    def free(self, holder: str, reason: str = ENDED) -> None:
        """Queue again what the process of a worker held when it ended unexpectedly."""
        self._queue_again(jobs.c.holder == holder, reason)

    def queue_lapsed(self) -> None:
        """Queue again every running job whose lease has run out: its worker is gone."""
        query = select(jobs.c.id).where(jobs.c.state == JobState.RUNNING)
        with self.database.reading() as connection:  # the usual case: nothing to do, no lock taken
            lapsed = jobs.c.lease_until <= now(connection)
            if not connection.execute(query.where(lapsed)).all():
                return
        self._queue_again(lapsed, "its worker has not been heard of")

    def queued(self) -> list[Waiting]:
        """The jobs that wait for a worker, oldest first."""
        query = select(jobs.c.id, jobs.c.token).where(jobs.c.state == JobState.QUEUED)
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(jobs.c.created_at, jobs.c.id))
            return [Waiting(row.id, row.token) for row in rows]

    def keep(self, job_id: str, holder: str) -> None:
        """Hold the lease of a worker's running job for longer; nothing where it is not its own."""
        with self.database.writing() as connection:
            row = job_row(connection, job_id)
            if row.state == JobState.RUNNING and row.holder == holder:
                self._renew(connection, job_id)

    def is_lost(self, job_id: str, holder: str) -> bool:
        """Whether a worker has no business with a job any more: it has ended, or another has it."""
        query = select(jobs.c.state, jobs.c.holder).where(jobs.c.id == job_id)
        with self.database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row.state in TERMINAL:
            return True
        return bool(row.state == JobState.RUNNING and row.holder != holder)

    def _read(self, connection: Connection, job_id: str) -> SearchJob:
        return read_job(connection, job_row(connection, job_id))

    def _list(self, query: Select[Any]) -> list[SearchJob]:
        with self.database.reading() as connection:
            return read_jobs(connection, connection.execute(query).all(), self._leave_out)

    def _leave_out(self, error: StoreDamaged) -> None:
        """Said once: lists are read every few seconds."""
        if str(error) not in self._left_out:
            logger.warning("%s", error)
        self._left_out.add(str(error))

    def _renew(
        self, connection: Connection, job_id: str, values: Mapping[str, Any] | None = None
    ) -> None:
        lease = {"lease_until": now(connection) + self.lease}
        writes.change(connection, job_id, lease | dict(values or {}))

    def _queue_again(
        self, condition: ColumnElement[bool], reason: str, num_attempts: int = 0
    ) -> None:
        running = select(jobs).where(jobs.c.state == JobState.RUNNING, condition)
        with self.database.writing() as connection:
            for row in connection.execute(running).all():
                writes.queue_again(connection, row, reason, num_attempts)
