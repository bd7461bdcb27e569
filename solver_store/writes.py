"""What the store writes, one record a function, inside a writing transaction of the caller's."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection, Executable, insert, update

from . import queries, schema
from .errors import NameMismatch, RecordError
from .records import AliasMove, Evidence, SolverVersion, Target, json_text
from .rows import read_target
from .table import SolverTable


def claim_name(
    connection: Connection, name: str, table: SolverTable, target: Target | None
) -> None:
    """Make the name, or see that this table and target are what it stands for.

    Raises NameMismatch where they are not.
    """
    row = queries.solver_row(connection, name)
    if row is None:
        values = {
            "name": name,
            "schedule": table.schedule,
            "steps": table.nfe,
            "created_at": datetime.now(UTC),
        }
        _write(connection, insert(schema.solvers).values(values))
    elif (row.schedule, row.steps) != (table.schedule, table.nfe):
        raise NameMismatch(
            f"{name} holds tables of {row.steps} steps on schedule {row.schedule}, "
            f"this one has {table.nfe} on {table.schedule}"
        )
    known = None if row is None else read_target(row)
    if target is not None and target != known:
        _adopt_target(connection, name, table.nfe, known, target)


def append_version(connection: Connection, name: str, table: SolverTable, source_json: str) -> int:
    """Write the next version of a name; returns its number."""
    number = queries.newest_version(connection, name) + 1
    row = {
        "name": name,
        "version": number,
        "digest": table.digest,
        "table_json": table.canonical_json,
        "source_json": source_json,
        "created_at": datetime.now(UTC),
    }
    _write(connection, insert(schema.versions).values(row))
    return number


def append_evidence(
    connection: Connection, version: SolverVersion, evidence: Sequence[Evidence]
) -> None:
    """Write the evidence that the version does not have yet. Raises RecordError."""
    known = list(version.evidence)
    for entry in evidence:
        if entry.steps != version.table.nfe:
            raise RecordError(
                f"evidence of {entry.steps} steps does not belong to {version.name}/"
                f"{version.version}, a table of {version.table.nfe}"
            )
        if any(entry.says_the_same_as(other) for other in known):
            continue
        known.append(entry)
        row = {
            "name": version.name,
            "version": version.version,
            "model": entry.model,
            "model_digest": entry.model_digest,
            "steps": entry.steps,
            "guidance_scale": entry.guidance_scale,
            "metrics_json": json_text("evidence metrics", entry.metrics),
            "details_json": json_text("evidence details", entry.details),
            "created_at": entry.created_at,
        }
        _write(connection, insert(schema.evidence).values(row))


def append_move(connection: Connection, move: AliasMove) -> None:
    _write(connection, insert(schema.alias_moves).values(asdict(move)))


def _write(connection: Connection, statement: Executable) -> None:
    """Every change goes through here, so that none is missed by those who poll the revision."""
    connection.execute(statement)
    counter = schema.store_revision.c.revision
    connection.execute(update(schema.store_revision).values(revision=counter + 1))


def _adopt_target(
    connection: Connection, name: str, steps: int, known: Target | None, target: Target
) -> None:
    if known is not None:
        raise NameMismatch(f"{name} stands for {_spelled(known)}, not for {_spelled(target)}")
    other = queries.name_of_target(connection, target.model, steps, target.guidance_scale)
    if other is not None:
        raise NameMismatch(f"{_spelled(target)} at {steps} steps has the name {other}")
    columns = {"model": target.model, "guidance_scale": target.guidance_scale}
    _write(connection, update(schema.solvers).where(schema.solvers.c.name == name).values(columns))


def _spelled(target: Target) -> str:
    return f"{target.model} at guidance {target.guidance_scale!r}"
