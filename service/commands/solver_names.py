"""What a name on the command line stands for, and what else it may have been meant to be."""

from collections.abc import Sequence
from difflib import get_close_matches

from solver_store.records import CHAMPION

from ..answers import SolverAnswer, SolverEntry, SolverVersionAnswer
from ..client import Client, ProblemError
from .common import CALLED, CommandFailed

MAX_NEAR = 3
LIST_COMMAND = f"{CALLED} solvers list"


def split_name(text: str) -> tuple[str, int | str | None]:
    """NAME, NAME/VERSION or NAME@ALIAS. Raises CommandFailed."""
    name, at, alias = text.partition("@")
    if at:
        return name, alias
    name, slash, version = text.partition("/")
    if slash and not version.isdecimal():
        raise CommandFailed(f"a version is a number, as in {name}/1; got {version!r}")
    return name, int(version) if slash else None


def find_solver(client: Client, name: str, steps: int | None = None) -> SolverAnswer:
    """The solver of this name, or the one of a family that takes so many steps.

    Raises CommandFailed where there is none, with those that may have been meant.
    """
    try:
        return client.solver(name)
    except ProblemError as problem:
        if problem.status not in (404, 422):  # 422: no name at all, such as one in capitals
            raise
    entries = client.solvers()
    family = [f"{name}-{count}" for count in _step_counts(entries, name)]
    if f"{name}-{steps}" in family:
        return client.solver(f"{name}-{steps}")
    if family:
        raise CommandFailed(f"{name} is a family; its solvers are {', '.join(family)}")
    raise CommandFailed(f"no solver is named {name!r}; {_near(entries, name)}")


def find_version(
    client: Client, entry: SolverAnswer, which: int | str | None
) -> SolverVersionAnswer:
    """By its number or an alias; the champion where neither is given.

    Raises CommandFailed where nothing has that alias.
    """
    if isinstance(which, int):
        return client.solver_version(entry.name, which)
    alias = CHAMPION if which is None else which
    if alias not in entry.aliases:
        numbered = ", ".join(f"{entry.name}/{known.version}" for known in entry.versions)
        raise CommandFailed(f"{entry.name} has no {alias}; say which version: {numbered}")
    return client.solver_version(entry.name, entry.aliases[alias])


def _step_counts(entries: Sequence[SolverEntry], family: str) -> list[int]:
    found = (entry.steps for entry in entries if entry.name == f"{family}-{entry.steps}")
    return sorted(steps for steps in found if steps is not None)


def _near(entries: Sequence[SolverEntry], name: str) -> str:
    families = {entry.name.removesuffix(f"-{entry.steps}") for entry in entries}
    known = families | {entry.name for entry in entries}
    near = get_close_matches(name.lower(), sorted(known), MAX_NEAR)
    if near:
        return f"near it: {', '.join(near)} ({LIST_COMMAND} shows all)"
    return f"{LIST_COMMAND} shows what there is"
