import subprocess
import sys
from pathlib import Path

import pytest

from solver_store.published import PublishedTable, published_tables
from solver_store.table import Prediction

FAMILIES = {
    "flowdcn-b-256": (5, 6, 7, 8, 9, 10, 15),
    "sit-xl-256": (5, 6, 7, 8, 9, 10),
    "dit-xl-256": (5, 6, 7, 8, 9, 10),
}
ALL = pytest.mark.parametrize("published", published_tables(), ids=lambda p: p.name)


def test_all_nineteen_tables_of_the_paper_ship() -> None:
    expected = {(family, steps) for family, counts in FAMILIES.items() for steps in counts}
    assert len(expected) == 19
    assert {(p.family, p.steps) for p in published_tables()} == expected


def test_tables_come_by_family_then_steps() -> None:
    keys = [(p.family, p.steps) for p in published_tables()]
    assert keys == sorted(keys)


@ALL
def test_name_steps_and_table_agree(published: PublishedTable) -> None:
    assert published.name == f"{published.family}-{published.steps}"
    assert published.table.nfe == published.steps
    assert len(published.time_deltas) == published.steps
    assert [len(row) for row in published.coefficients] == list(range(published.steps))


@ALL
def test_the_last_time_is_pinned_and_the_source_says_so(published: PublishedTable) -> None:
    table = published.table
    if published.family == "dit-xl-256":
        assert (table.schedule, table.prediction) == ("vp", Prediction.DATA)
        assert (table.times[0], table.times[-1]) == (0.999, 1e-3)
    else:
        assert (table.schedule, table.prediction) == ("rectified-flow", Prediction.VELOCITY)
        assert (table.times[0], table.times[-1]) == (0.0, 1.0)
    assert "pinned" in published.source
    assert sum(published.time_deltas) == pytest.approx(1.0, abs=2.5e-4)


@ALL
def test_every_table_names_where_it_comes_from(published: PublishedTable) -> None:
    for mark in ("arXiv 2505.21114", "MCG-NJU/NeuralSolver", "7188794", "MIT"):
        assert mark in published.source


@ALL
def test_every_table_has_the_figure_of_its_paper(published: PublishedTable) -> None:
    assert any(figure.metric == "fid-50k" for figure in published.figures)


def test_the_headline_figure_is_the_papers() -> None:
    (ten,) = [p for p in published_tables() if p.name == "dit-xl-256-10"]
    (figure,) = [f for f in ten.figures if f.dataset == "ImageNet 256"]
    assert (figure.value, figure.guidance_scale) == (2.33, 1.5)


def test_published_tables_are_read_without_torch() -> None:
    code = (
        "import sys; from solver_store.published import published_tables; "
        "assert len(published_tables()) == 19; sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
