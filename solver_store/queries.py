"""What the store asks, one question a function, inside a transaction of the caller's."""

from collections import defaultdict

from sqlalchemy import ColumnElement, Connection, func, select

from .errors import InvalidReference, StoreDamaged, VersionNotFound
from .records import CHAMPION, AliasMove, SolverSummary, SolverVersion
from .reference import check_alias, check_digest, check_name
from .rows import AnyRow, read_move, read_target, read_version
from .schema import alias_moves, evidence, solvers, store_revision, versions
from .table import MAX_NFE


def revision(connection: Connection) -> int:
    return connection.execute(select(store_revision.c.revision)).scalar_one()


def solver_row(connection: Connection, name: str) -> AnyRow | None:
    return connection.execute(select(solvers).where(solvers.c.name == name)).one_or_none()


def name_of_target(
    connection: Connection, model: str, steps: int, guidance_scale: float
) -> str | None:
    """The one name that stands for this model, NFE and guidance scale."""
    query = select(solvers.c.name).where(
        solvers.c.model == model,
        solvers.c.steps == steps,
        solvers.c.guidance_scale == guidance_scale,
    )
    return connection.execute(query).scalar_one_or_none()


def newest_version(connection: Connection, name: str) -> int:
    """The highest version number of a name, 0 where there is none."""
    query = select(func.max(versions.c.version)).where(versions.c.name == name)
    return connection.execute(query).scalar_one() or 0


def version_with_digest(connection: Connection, name: str, digest: str) -> int | None:
    query = select(versions.c.version).where(versions.c.name == name, versions.c.digest == digest)
    return connection.execute(query).scalar_one_or_none()


def require_name(connection: Connection, name: str) -> int:
    """The newest version's number. Raises VersionNotFound, InvalidReference."""
    newest = newest_version(connection, check_name(name))
    if newest == 0:
        raise VersionNotFound(f"no solver is named {name!r}")
    return newest


def require_version(connection: Connection, name: str, version: int) -> None:
    """Raises VersionNotFound, InvalidReference. Versions have no gaps, so the newest one tells."""
    newest = require_name(connection, name)
    if not 1 <= version <= newest:
        raise VersionNotFound(f"{name} has versions 1 to {newest}, not {version}")


def version(connection: Connection, name: str, number: int) -> SolverVersion:
    """Raises VersionNotFound, InvalidReference, StoreDamaged."""
    require_version(connection, name, number)
    found = all_versions(connection, name, number)
    if not found:
        raise StoreDamaged(f"{name}/{number} is missing, though later versions are there")
    return found[0]


def all_versions(
    connection: Connection, name: str, number: int | None = None
) -> list[SolverVersion]:
    """The versions of a name in order, or the one of this number. Raises StoreDamaged."""
    of_versions = select(versions).where(versions.c.name == name).order_by(versions.c.version)
    of_evidence = select(evidence).where(evidence.c.name == name).order_by(evidence.c.id)
    if number is not None:
        of_versions = of_versions.where(versions.c.version == number)
        of_evidence = of_evidence.where(evidence.c.version == number)
    found: defaultdict[int, list[AnyRow]] = defaultdict(list)
    for row in connection.execute(of_evidence):
        found[row.version].append(row)
    return [read_version(row, found[row.version]) for row in connection.execute(of_versions)]


def version_by_alias(connection: Connection, name: str, alias: str) -> SolverVersion:
    """Raises VersionNotFound, InvalidReference, StoreDamaged."""
    require_name(connection, name)
    number = alias_version(connection, name, check_alias(alias))
    if number is None:
        known = ", ".join(sorted(aliases(connection, name)[name])) or "none"
        raise VersionNotFound(f"{name} has no alias {alias!r}; it has {known}")
    return version(connection, name, number)


def version_by_digest(connection: Connection, digest: str) -> SolverVersion:
    """Raises VersionNotFound, StoreDamaged, InvalidReference."""
    query = (
        select(versions.c.digest, versions.c.name, versions.c.version)
        .where(versions.c.digest.startswith(check_digest(digest)))
        .order_by(versions.c.name, versions.c.version)
    )
    rows = connection.execute(query).all()
    if not rows:
        raise VersionNotFound(f"no table has the digest {digest}")
    if len({row.digest for row in rows}) > 1:
        raise InvalidReference(f"several digests begin with {digest}: give more digits")
    return version(connection, rows[0].name, rows[0].version)


def champions(connection: Connection, model: str, steps: int) -> list[tuple[float, str]]:
    """The guidance scale and the name of each solver of this target that has a champion."""
    has_champion = select(alias_moves.c.name).where(alias_moves.c.alias == CHAMPION)
    query = select(solvers.c.guidance_scale, solvers.c.name).where(
        solvers.c.model == check_name(model),
        _has_steps(steps),
        solvers.c.name.in_(has_champion),
    )
    return [(row.guidance_scale, row.name) for row in connection.execute(query)]


def alias_version(connection: Connection, name: str, alias: str) -> int | None:
    """Where an alias points: the last move says."""
    query = (
        select(alias_moves.c.to_version)
        .where(alias_moves.c.name == name, alias_moves.c.alias == alias)
        .order_by(alias_moves.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def aliases(connection: Connection, name: str | None = None) -> defaultdict[str, dict[str, int]]:
    """Where the aliases of every name point, or those of one name."""
    last = select(func.max(alias_moves.c.id)).group_by(alias_moves.c.name, alias_moves.c.alias)
    query = select(alias_moves).where(alias_moves.c.id.in_(last)).order_by(alias_moves.c.alias)
    if name is not None:
        query = query.where(alias_moves.c.name == name)
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(query):
        found[row.name][row.alias] = row.to_version
    return found


def moves(connection: Connection, name: str, alias: str | None = None) -> list[AliasMove]:
    """Every move of a name's aliases, or of one, oldest first."""
    query = select(alias_moves).where(alias_moves.c.name == name).order_by(alias_moves.c.id)
    if alias is not None:
        query = query.where(alias_moves.c.alias == check_alias(alias))
    return [read_move(row) for row in connection.execute(query)]


def summaries(
    connection: Connection,
    name: str | None = None,
    model: str | None = None,
    steps: int | None = None,
) -> list[SolverSummary]:
    """All names in order, or those of this name, this target model and this NFE."""
    newest = func.max(versions.c.version).label("num_versions")
    query = select(solvers, newest).join(versions).group_by(solvers.c.name)
    if name is not None:
        query = query.where(solvers.c.name == name)
    if model is not None:
        query = query.where(solvers.c.model == check_name(model))
    if steps is not None:
        query = query.where(_has_steps(steps))
    known = aliases(connection, name)
    found = [
        SolverSummary(
            name=row.name,
            schedule=row.schedule,
            steps=row.steps,
            target=read_target(row),
            num_versions=row.num_versions,
            aliases=known[row.name],
            created_at=row.created_at,
        )
        for row in connection.execute(query)
    ]
    return sorted(found, key=lambda summary: summary.name)  # databases sort text differently


def _has_steps(steps: int) -> ColumnElement[bool]:
    # No table has more than MAX_NFE, and no database takes every whole number.
    return solvers.c.steps == max(0, min(steps, MAX_NFE + 1))
