"""Solver tables published with papers: one JSON file each, with source and figures.

`flowdcn-b-256-10.json` holds the table of family `flowdcn-b-256` at 10 steps, beside the numbers
as its paper prints them (`paper_form`), from which the table was compiled.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ..table import SolverTable


@dataclass(frozen=True)
class PublishedFigure:
    """One result that a paper reports for a table."""

    metric: str  # "fid-50k", "endpoint-mse"
    value: float
    model: str
    guidance_scale: float | None  # None where the paper does not say
    dataset: str


@dataclass(frozen=True)
class PublishedTable:
    """A table as its paper gives it."""

    name: str  # family and steps: "flowdcn-b-256-10"
    family: str  # "flowdcn-b-256"
    steps: int
    table: SolverTable
    time_deltas: tuple[float, ...]  # (steps,)
    coefficients: tuple[tuple[float, ...], ...]  # row i: weights on predictions 0 .. i - 1
    source: str
    searched_on: str
    figures: tuple[PublishedFigure, ...]


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """Every published table, by family, then by number of steps."""
    files = [entry for entry in resources.files(__name__).iterdir() if entry.name.endswith(".json")]
    tables = [_read(json.loads(entry.read_text(encoding="utf-8"))) for entry in files]
    return tuple(sorted(tables, key=lambda published: (published.family, published.steps)))


def _read(values: Mapping[str, Any]) -> PublishedTable:
    paper_form = values["paper_form"]
    return PublishedTable(
        name=values["name"],
        family=values["family"],
        steps=values["steps"],
        table=SolverTable.from_dict(values["table"]),
        time_deltas=tuple(paper_form["time_deltas"]),
        coefficients=tuple(tuple(row) for row in paper_form["coefficients"]),
        source=values["source"],
        searched_on=values["searched_on"],
        figures=tuple(PublishedFigure(**figure) for figure in values["figures"]),
    )
