"""Rows of the database, read into records; a row that does not hold what was written is refused."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Row

from .errors import StoreDamaged, StoreError
from .records import AliasMove, Evidence, SolverVersion, Target
from .table import SolverTable

AnyRow = Row[Any]


def read_version(row: AnyRow, evidence: Sequence[AnyRow]) -> SolverVersion:
    """Raises StoreDamaged when the table is not the one of the digest, or a row cannot be read."""
    place = f"{row.name}/{row.version}"
    with _damage(place):
        version = SolverVersion(
            name=row.name,
            version=row.version,
            table=SolverTable.from_dict(json.loads(row.table_json)),
            source=json.loads(row.source_json),
            evidence=tuple(_read_evidence(entry) for entry in evidence),
            created_at=row.created_at,
        )
    if version.digest != row.digest:
        raise StoreDamaged(
            f"{place}: digest {row.digest} is stored, the table's is {version.digest}"
        )
    return version


def read_target(row: AnyRow) -> Target | None:
    if row.model is None:
        return None
    with _damage(row.name):
        return Target(row.model, row.guidance_scale)


def read_move(row: AnyRow) -> AliasMove:
    return AliasMove(
        name=row.name,
        alias=row.alias,
        from_version=row.from_version,
        to_version=row.to_version,
        moved_by=row.moved_by,
        note=row.note,
        moved_at=row.moved_at,
    )


def _read_evidence(row: AnyRow) -> Evidence:
    return Evidence(
        model=row.model,
        model_digest=row.model_digest,
        steps=row.steps,
        guidance_scale=row.guidance_scale,
        metrics=json.loads(row.metrics_json),
        details=json.loads(row.details_json),
        created_at=row.created_at,
    )


@contextmanager
def _damage(place: str) -> Iterator[None]:
    try:
        yield
    except (StoreError, ValueError, TypeError, AttributeError) as error:
        raise StoreDamaged(f"{place} cannot be read: {error}") from error
