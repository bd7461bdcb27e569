"""What was published, twice: beside the tables, and in the rows."""

import pytest

from benchmarks.reproduce.rows import ROWS
from benchmarks.reproduce.solvers import find_table
from diffusion_core.families import get_family
from diffusion_core.program import compile_program
from solver_store.published import PublishedFigure, published_tables
from tests.diffusion_core.conversion.small import small


def figures_beside(table: str) -> list[PublishedFigure]:
    [published] = [entry for entry in published_tables() if entry.name == table]
    return [figure for figure in published.figures if figure.metric == "fid-50k"]


@pytest.mark.parametrize("name", ["sit-xl-2", "sit-xl-2-own-tables", "dit-xl-2"])
def test_distances_and_guidance_are_those_beside_the_tables(name: str) -> None:
    row = ROWS[name]
    title = get_family(row.family).title.partition(",")[0]
    for steps, fid in row.fids.items():
        own = [f for f in figures_beside(row.solver(steps)) if f.model == f"{title}-256"]
        assert [(f.value, f.guidance_scale) for f in own] == [(fid, row.guidance_scale)]


def test_the_headline_is_there() -> None:
    at_ten = {name: row.fids[10] for name, row in ROWS.items()}
    assert at_ten["sit-xl-2"] == 2.40
    assert at_ten["flowdcn-xl-2"] == 2.35
    assert at_ten["dit-xl-2"] == 2.33
    assert all(set(range(5, 11)) <= row.fids.keys() for row in ROWS.values())


@pytest.mark.parametrize("name", list(ROWS))
def test_every_table_runs_on_its_model(name: str) -> None:
    row = ROWS[name]
    card = small(row.family).card(
        "m", small(row.family).architecture, weights="w", decoder="sd-linear"
    )
    for steps in row.fids:
        table = find_table(row.solver(steps), card.schedule, steps)
        assert compile_program(table, card.kind).steps == steps
