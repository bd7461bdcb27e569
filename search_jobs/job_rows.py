"""Rows of search jobs in the database, read into the values of spec.py."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import Row

from solver_store.errors import StoreDamaged
from solver_store.schema import search_job_events as events
from solver_store.schema import search_job_results as results
from solver_store.schema import search_jobs as jobs

from .errors import JobNotFound
from .spec import JobEvent, JobState, Progress, SearchJob, SearchSpec, StepResult

AnyRow = Row[Any]


def now(connection: Connection) -> datetime:
    """By the database's clock where it has one: the clocks of several machines differ."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)  # one file, one machine
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment


def job_row(connection: Connection, job_id: str) -> AnyRow:
    """Raises JobNotFound."""
    # PostgreSQL refuses a NUL with an error of its own, and no id has one.
    row = None
    if "\0" not in job_id:
        row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise JobNotFound(f"no search job has the id {job_id[:40]!r}")
    return row


def job_of_key(connection: Connection, key: str | None) -> AnyRow | None:
    if key is None:
        return None
    return connection.execute(select(jobs).where(jobs.c.idempotency_key == key)).one_or_none()


def read_job(connection: Connection, row: AnyRow) -> SearchJob:
    """Raises StoreDamaged."""
    return _read_job(row, _results_of(connection, [row])[row.id])


def read_jobs(
    connection: Connection, rows: Sequence[AnyRow], leave_out: Callable[[StoreDamaged], None]
) -> list[SearchJob]:
    """Those that can be read; leave_out is told of every other one."""
    found = _results_of(connection, rows)
    jobs_read = []
    for row in rows:
        try:
            jobs_read.append(_read_job(row, found[row.id]))
        except StoreDamaged as error:
            leave_out(error)
    return jobs_read


def read_spec(row: AnyRow) -> SearchSpec:
    """Raises StoreDamaged."""
    try:
        return SearchSpec.model_validate_json(row.spec_json)
    except ValueError as error:
        raise _damaged(row.id, error) from error


def read_result(row: AnyRow) -> StepResult:
    """Raises StoreDamaged."""
    try:
        return StepResult.model_validate_json(row.result_json)
    except ValueError as error:
        raise _damaged(row.job_id, error) from error


def read_event(row: AnyRow) -> JobEvent:
    """Raises StoreDamaged."""
    try:
        return JobEvent(number=row.number, kind=row.kind, data=json.loads(row.data_json), at=row.at)
    except ValueError as error:
        raise _damaged(row.job_id, error) from error


def result_row(connection: Connection, job_id: str, steps: int) -> AnyRow | None:
    query = select(results).where(results.c.job_id == job_id, results.c.steps == steps)
    return connection.execute(query).one_or_none()


def last_number(connection: Connection, job_id: str) -> int:
    """Of its events; 0 where it has none."""
    query = select(func.max(events.c.number)).where(events.c.job_id == job_id)
    return connection.execute(query).scalar_one() or 0


def last_reason(connection: Connection, job_id: str) -> str | None:
    """Why it was queued last; None where it only was when it was submitted."""
    queued = select(events.c.data_json).where(events.c.job_id == job_id, events.c.kind == "queued")
    newest = queued.order_by(events.c.number.desc()).limit(1)
    reason: str | None = json.loads(connection.execute(newest).scalar_one()).get("reason")
    return reason


def _results_of(connection: Connection, rows: Sequence[AnyRow]) -> dict[str, list[AnyRow]]:
    """By job, in the order of their step counts."""
    found: dict[str, list[AnyRow]] = {row.id: [] for row in rows}
    query = select(results).where(results.c.job_id.in_(found)).order_by(results.c.steps)
    for row in connection.execute(query):
        found[row.job_id].append(row)
    return found


def _read_job(row: AnyRow, found: Sequence[AnyRow]) -> SearchJob:
    try:
        return SearchJob(
            id=row.id,
            state=JobState(row.state),
            spec=read_spec(row),
            progress=Progress.model_validate_json(row.progress_json),
            results=tuple(map(read_result, found)),
            error=row.error,
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )
    except ValueError as error:
        raise _damaged(row.id, error) from error


def _damaged(job_id: str, error: ValueError) -> StoreDamaged:
    return StoreDamaged(f"search job {job_id} cannot be read: {error}")
