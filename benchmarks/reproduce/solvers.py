"""The table to sample with: a published one, one in a file, or a classical solver's."""

import json
from pathlib import Path

from diffusion_core.classic import classical_table, is_classical
from solver_store.errors import TableError
from solver_store.published import published_tables
from solver_store.table import SolverTable

from ..processes import BenchmarkError


def find_table(reference: str, schedule: str, steps: int) -> SolverTable:
    """
    reference  flowdcn-b-256-10, a JSON file with a table, or ab2
    schedule   of the model; classical solvers are written on it
    steps      how many the table must take

    Raises BenchmarkError.
    """
    table = _find(reference, schedule, steps)
    if table.nfe != steps:
        raise BenchmarkError(f"{reference} takes {table.nfe} steps, not {steps}")
    return table


def _find(reference: str, schedule: str, steps: int) -> SolverTable:
    published = {entry.name: entry.table for entry in published_tables()}
    if reference in published:
        return published[reference]
    if is_classical(reference):
        return classical_table(reference, schedule, steps)
    if Path(reference).is_file():
        return _read(Path(reference))
    raise BenchmarkError(
        f"{reference!r} is no published table, no classical solver and no file; "
        f"published are {', '.join(published)}"
    )


def _read(path: Path) -> SolverTable:
    """Of a file as `./run solvers export` writes it."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return SolverTable.from_dict(content["table"])
    except (OSError, ValueError, KeyError, TypeError, TableError) as error:
        raise BenchmarkError(f"{path} holds no solver table: {error}") from error
