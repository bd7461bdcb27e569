"""The headline of `./run bench search`."""

from collections.abc import Mapping

import pytest

from benchmarks.search.cells import Cell, Searched
from benchmarks.search.figures import figures_of, lead, targets_of
from diffusion_core.classic import classical_table
from search_jobs.evaluate import Estimate, Measurement, Metric
from search_jobs.spec import Method, Objective

TABLE = classical_table("euler", "rectified-flow", 6)
NUM_GROUPS = 20


def measured(spread: float = 0.0, **values: float) -> Measurement:
    """Figures whose leave-one-out values swing by `spread` to either side."""
    estimates = {
        Metric(name): Estimate(value, tuple(value + spread * (-1) ** g for g in range(NUM_GROUPS)))
        for name, value in values.items()
    }
    return Measurement("digest", 6, 100, 100, 0, estimates)


def cell(method: Method, objective: Objective, seed: int = 0) -> Searched:
    return Searched(Cell(method, objective, 6, 1.0, 1000, seed), TABLE, {})


def figures(**rows: Mapping[str, float]) -> dict[str, float]:
    """Of a search for distributions and of one rival, measured as told."""
    own = cell(Method.DSS_PLUS, Objective.DISTRIBUTION)
    everyone = {own.cell.name: measured(0.01, **rows["own"]), "rival": measured(**rows["rival"])}
    return figures_of([own], everyone, everyone)


def test_a_lead_counts_margins_of_the_paired_difference() -> None:
    rival = measured(frechet_distance=40.0)
    ours = measured(0.1, frechet_distance=30.0)
    margin = ours.estimates[Metric.FRECHET_DISTANCE] - rival.estimates[Metric.FRECHET_DISTANCE]
    assert lead(ours, rival, Metric.FRECHET_DISTANCE) == pytest.approx(10.0 / margin.margin)
    assert lead(rival, ours, Metric.FRECHET_DISTANCE) == pytest.approx(-10.0 / margin.margin)


def test_the_ratio_to_the_paper_s_search_is_of_the_means_over_seeds() -> None:
    found = [
        cell(method, Objective.ENDPOINT, seed)
        for method in (Method.DSS_PLUS, Method.DSS)
        for seed in (0, 1)
    ]
    errors = (0.1, 0.2, 0.5, 0.7)
    everyone = {
        entry.cell.name: measured(endpoint_rmse=error)
        for entry, error in zip(found, errors, strict=True)
    }
    figures = figures_of(found, everyone, everyone)
    assert figures["endpoint_rmse_over_dss"] == pytest.approx(0.15 / 0.6)
    (target,) = targets_of(figures, 6)
    assert (target.figure, target.bound) == ("endpoint_rmse_over_dss", 0.65)
    assert targets_of(figures, 7) == []


@pytest.mark.parametrize(
    ("own", "met"),
    [
        ({"frechet_distance": 30.0, "class_accuracy": 0.9, "recall": 0.9}, (True, True, True)),
        ({"frechet_distance": 40.01, "class_accuracy": 0.9, "recall": 0.9}, (False, True, True)),
        ({"frechet_distance": 30.0, "class_accuracy": 0.5, "recall": 0.2}, (True, False, False)),
    ],
)
def test_a_distribution_must_lead_in_distance_and_lose_nothing_else(
    own: Mapping[str, float], met: tuple[bool, ...]
) -> None:
    rival = {"frechet_distance": 40.0, "class_accuracy": 0.9, "recall": 0.9}
    found = figures(own=own, rival=rival)
    assert tuple(target.is_met(found[target.figure]) for target in targets_of(found, 6)) == met
