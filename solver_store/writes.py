"""What the store writes, inside a writing transaction of the caller's: `publish` and `promote`, as
the store's contract has them, and the records that they are made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection, Executable, insert, update

from . import queries, schema
from .errors import NameMismatch, PromotionConflict, RecordError
from .records import (
    JSON,
    AliasMove,
    Evidence,
    Publication,
    SolverVersion,
    Target,
    check_text,
    json_text,
)
from .reference import check_alias, check_free_name
from .rows import read_target
from .table import SolverTable


def publish(
    connection: Connection,
    name: str,
    table: SolverTable,
    source: Mapping[str, JSON],
    evidence: Sequence[Evidence],
    target: Target | None,
) -> Publication:
    """Append a table under a name; a table that is there already only gains the evidence.

    Raises InvalidReference, RecordError, NameMismatch.
    """
    check_free_name(name)
    source_json = json_text("source", source)
    claim_name(connection, name, table, target)
    number = queries.version_with_digest(connection, name, table.digest)
    is_new = number is None
    if number is None:
        number = append_version(connection, name, table, source_json)
    append_evidence(connection, queries.version(connection, name, number), evidence)
    return Publication(queries.version(connection, name, number), is_new)


def promote(
    connection: Connection,
    name: str,
    alias: str,
    version: int,
    *,
    expected: int | None,
    by: str,
    note: str,
) -> AliasMove:
    """Point an alias at a version, if it still points at the expected one.

    Raises VersionNotFound, InvalidReference, RecordError, and PromotionConflict, before anything
    is written.
    """
    check_alias(alias)
    check_text("by", by, 200)
    check_text("note", note, 10_000)
    queries.require_version(connection, name, version)
    current = queries.alias_version(connection, name, alias)
    if current != expected:
        raise PromotionConflict(
            f"{name}@{alias} points at {_pointed(current)}, not at {_pointed(expected)}", current
        )
    if current != version:
        move = AliasMove(name, alias, current, version, by, note, datetime.now(UTC))
        append_move(connection, move)
    return queries.moves(connection, name, alias)[-1]


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


def _pointed(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
