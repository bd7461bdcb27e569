"""Shipped tables beside others, at home and away, on a network in closed form."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.models.comparison import Home, compare, measured
from benchmarks.models.transfer import transfer
from diffusion_core.classic import classical_table
from search_jobs.evaluate import (
    Contender,
    EvaluationPlan,
    Metric,
    classical_contenders,
    published_contenders,
)
from tests.search_jobs.evaluate.subjects import gaussian_subject, pixel_judge

STEPS = 6
PLAN = EvaluationPlan(num_samples=60, num_endpoints=40, batch_rows=32)


def home(name: str, table: str) -> Home:
    """As if a search had found a classical table there."""
    subject = replace(gaussian_subject(pixel_judge()), name=name)
    found = classical_table(table, "rectified-flow", STEPS)
    return Home(subject, "ab2", Contender(f"{name}'s own", found))


def test_a_searched_table_is_held_against_the_best_of_all_others(tmp_path: Path) -> None:
    euler = home("one", "euler")
    figures = compare(euler, STEPS, PLAN, tmp_path).figures
    everyone = classical_contenders(euler.subject.problem.kind, STEPS, with_uniform_lambda=True)
    everyone += published_contenders(euler.subject.problem.kind, STEPS)
    found = measured(euler, everyone, PLAN, tmp_path)
    errors = {name: m.estimates[Metric.ENDPOINT_RMSE].value for name, m in found.items()}
    assert figures["searched endpoint_rmse"] == errors["euler"]
    assert figures["best other endpoint_rmse"] == min(errors.values())
    assert figures["lead in endpoint_rmse"] < 0


def test_every_classical_solver_can_be_measured(tmp_path: Path) -> None:
    best, every = (
        compare(home("one", "euler"), STEPS, PLAN, tmp_path, every) for every in (False, True)
    )
    assert {"heun", "euler", "deis-3-lambda"} <= set(every.samples) - set(best.samples)
    assert every.name == f"{best.name}-every"


def test_a_loss_is_what_a_table_loses_away_from_home(tmp_path: Path) -> None:
    poor, good = home("poor", "euler"), home("good", "ab2")
    figures = transfer([poor, good], STEPS, 60, tmp_path, "transfer").figures
    away, back = (
        figures[f"{label}, endpoint_rmse over home"] for label in ("poor on good", "good on poor")
    )
    assert away > 1  # Euler is further from the ends than Adams–Bashforth 2 …
    assert away == pytest.approx(1 / back, rel=1e-6)  # … on what is one network here
    assert figures["best other on poor, endpoint_rmse over home"] <= back


def test_a_network_without_a_judge_is_compared_by_its_ends_alone(tmp_path: Path) -> None:
    judged, unjudged = home("judged", "euler"), home("unjudged", "ab2")
    unjudged = replace(unjudged, subject=replace(unjudged.subject, judge=None))
    plan = unjudged.subject.plan(60)
    assert "lead in endpoint_rmse" in compare(unjudged, STEPS, plan, tmp_path).figures
    figures = transfer([judged, unjudged], STEPS, 60, tmp_path, "transfer").figures
    assert "unjudged on judged, frechet_distance over home" in figures
    away = [name for name in figures if name.startswith("judged on unjudged")]
    assert away == ["judged on unjudged, endpoint_rmse over home"]
