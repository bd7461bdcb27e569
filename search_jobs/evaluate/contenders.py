"""Which tables there are to be compared on a model."""

from dataclasses import dataclass

from diffusion_core.classic import CLASSICAL_SOLVERS, classical_table
from diffusion_core.errors import TableMismatch
from diffusion_core.program import NetworkKind, compile_program
from solver_store.published import published_tables
from solver_store.records import SolverVersion
from solver_store.store import SolverStore
from solver_store.table import SolverTable


@dataclass(frozen=True)
class Contender:
    """A table under the name that reports give it."""

    name: str
    table: SolverTable


def fits(table: SolverTable, kind: NetworkKind) -> bool:
    """Whether a table can drive a network of this kind."""
    try:
        compile_program(table, kind)
    except TableMismatch:
        return False
    return True


def classical_contenders(
    kind: NetworkKind, steps: int, with_uniform_lambda: bool = False
) -> list[Contender]:
    """Every classical solver, at its usual times and, if asked, at uniform log-SNR too."""
    names = list(CLASSICAL_SOLVERS)
    if with_uniform_lambda:
        names += [f"{name}-lambda" for name in CLASSICAL_SOLVERS]
    tables = [Contender(name, classical_table(name, kind.schedule, steps)) for name in names]
    return [contender for contender in tables if fits(contender.table, kind)]


def published_contenders(kind: NetworkKind, steps: int) -> list[Contender]:
    """The tables published with papers that fit."""
    return [
        Contender(published.name, published.table)
        for published in published_tables()
        if published.steps == steps and fits(published.table, kind)
    ]


def stored_contenders(
    store: SolverStore, model: str, kind: NetworkKind, steps: int, guidance_scale: float
) -> list[Contender]:
    """Every version that was made for this model and guidance scale, named with its aliases.

    Raises StoreUnavailable, StoreDamaged.
    """
    found = []
    for entry in store.solvers(model, steps):
        if entry.target is None or entry.target.guidance_scale != guidance_scale:
            continue
        for version in store.versions(entry.name):
            if fits(version.table, kind):
                found.append(Contender(_shown(version, dict(entry.aliases)), version.table))
    return found


def _shown(version: SolverVersion, aliases: dict[str, int]) -> str:
    """glyphs-g1.5-8/3 (champion, faithful)."""
    held = ", ".join(alias for alias, number in aliases.items() if number == version.version)
    return f"{version.name}/{version.version}" + (f" ({held})" if held else "")
