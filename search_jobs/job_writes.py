"""What is written about search jobs, inside a writing transaction of the caller's."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, insert, update

from solver_store.schema import search_job_events as events
from solver_store.schema import search_job_results as results
from solver_store.schema import search_jobs as jobs

from .errors import JobCancelled, JobFinished, LeaseLost
from .job_rows import AnyRow, job_row, last_number, last_reason, now
from .spec import TERMINAL, JobState, Progress, SearchSpec, StepResult

MAX_ERROR_LENGTH = 2000
# Why a job has lost its process. The kernel, where memory runs out, tells nobody but by the signal.
ENDED = "its process ended unexpectedly"
KILLED = "its process was killed (signal 9), most likely because memory ran out"

EventKind = Literal["queued", "started", "progress", "result", "stopping", "finished"]


@dataclass(frozen=True)
class Claim:
    """The right to work on a job, for as long as nobody else has claimed it."""

    job_id: str
    token: int
    spec: SearchSpec
    furthest: float = 0.0  # the fraction that earlier claims of the job have come to
    unmeasured: int | None = None  # a step count whose measuring has ended all the earlier ones


@dataclass(frozen=True)
class Waiting:
    """A job that waits for a worker, and the token that it was last claimed with."""

    job_id: str
    token: int


def append_event(connection: Connection, job_id: str, kind: EventKind, data_json: str) -> None:
    """Give it the job's next number; only one transaction writes at a time."""
    row = {
        "job_id": job_id,
        "number": last_number(connection, job_id) + 1,
        "kind": kind,
        "data_json": data_json,
        "at": now(connection),
    }
    connection.execute(insert(events).values(row))


def insert_job(connection: Connection, spec: SearchSpec, key: str | None) -> str:
    moment = now(connection)
    job_id = f"{moment:%Y%m%d}-{secrets.token_hex(5)}"
    values = {
        "id": job_id,
        "state": JobState.QUEUED,
        "spec_json": spec.model_dump_json(),
        "idempotency_key": key,
        "progress_json": Progress().model_dump_json(),
        "furthest": 0.0,
        "stop_requested": False,
        "token": 0,
        "attempts": 0,
        "created_at": moment,
    }
    connection.execute(insert(jobs).values(values))
    append_event(connection, job_id, "queued", json.dumps({"spec": spec.model_dump(mode="json")}))
    return job_id


def insert_result(connection: Connection, job_id: str, result: StepResult) -> None:
    result_json = result.model_dump_json()
    row = {
        "job_id": job_id,
        "steps": result.steps,
        "result_json": result_json,
        "created_at": now(connection),
    }
    connection.execute(insert(results).values(row))
    append_event(connection, job_id, "result", result_json)


def change(connection: Connection, job_id: str, values: Mapping[str, Any]) -> None:
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))


def unfinished(connection: Connection, job_id: str) -> AnyRow:
    """Raises JobNotFound, JobFinished."""
    row = job_row(connection, job_id)
    if row.state in TERMINAL:
        raise JobFinished(f"search job {job_id} has ended already: {row.state}")
    return row


def held(connection: Connection, claim: Claim) -> AnyRow:
    """The job's row, if the claim still holds. Raises LeaseLost, JobCancelled."""
    row = job_row(connection, claim.job_id)
    if row.state == JobState.CANCELLED:
        raise JobCancelled(f"search job {claim.job_id} was cancelled")
    if (row.state, row.token) != (JobState.RUNNING, claim.token):
        raise LeaseLost(
            f"search job {claim.job_id} is {row.state} under token {row.token}, "
            f"this claim has {claim.token}"
        )
    return row


def end(connection: Connection, job_id: str, state: JobState, error: str | None = None) -> None:
    if error is not None:
        # What both databases can hold: no NUL, and no half characters of odd file names.
        error = error.replace("\0", "").encode(errors="replace").decode()[:MAX_ERROR_LENGTH]
    values = {
        "state": state,
        "error": error,
        "finished_at": now(connection),
        "holder": None,
        "lease_until": None,
    }
    change(connection, job_id, values)
    append_event(connection, job_id, "finished", json.dumps({"state": state, "error": error}))


def take(
    connection: Connection, row: AnyRow, spec: SearchSpec, values: Mapping[str, Any], is_last: bool
) -> Claim:
    """Let somebody work on a job, under the next token.

    is_last: it is the last attempt. Where it is measuring that the ones before it came to, again
    and again, what they had found must not be lost with this one, too.
    """
    progress = Progress.model_validate_json(row.progress_json)
    is_measuring = progress.stage == "evaluation"
    unmeasured = progress.steps if is_last and is_measuring else None
    claim = Claim(row.id, row.token + 1, spec, row.furthest, unmeasured)
    taken = {"state": JobState.RUNNING, "token": claim.token, "attempts": row.attempts + 1}
    change(connection, row.id, taken | dict(values))
    append_event(connection, row.id, "started", json.dumps({"attempt": claim.token}))
    return claim


def queue_again(connection: Connection, row: AnyRow, reason: str, num_attempts: int) -> None:
    values = {
        "state": JobState.QUEUED,
        "attempts": row.attempts + num_attempts,
        "holder": None,
        "lease_until": None,
    }
    change(connection, row.id, values)
    told = {"spec": json.loads(row.spec_json), "reason": reason}
    append_event(connection, row.id, "queued", json.dumps(told))


def gave_up(connection: Connection, row: AnyRow) -> str:
    progress = Progress.model_validate_json(row.progress_json)
    where = "" if progress.steps is None else f" of {progress.steps} steps"
    why = f"; {KILLED}" if last_reason(connection, row.id) == KILLED else ""
    return (
        f"given up: its process ended {row.attempts} times without getting further than "
        f"{row.furthest:.0%} (last seen: {progress.stage}{where}){why}"
    )
