"""The published tables against a literal transcription of the paper's updates."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffusion_core.coefficients import Coefficients
from diffusion_core.paper_form import (
    coefficient_matrix,
    rectified_flow_coefficients,
    vp_coefficients,
)
from solver_store.published import PublishedTable, published_tables
from solver_store.table import Prediction
from tests.diffusion_core.analytic import NOISE, solve

TABLES = {published.name: published for published in published_tables()}
RECTIFIED_FLOW = [name for name, p in TABLES.items() if p.table.schedule == "rectified-flow"]
VP = [name for name, p in TABLES.items() if p.table.schedule == "vp"]


def network(x: Tensor, t: float) -> Tensor:
    """Any nonlinear answer will do: the update does not care what it means."""
    return torch.tanh(x + math.cos(5.0 * t)) - 0.4 * torch.sin(3.0 * x * t)


def own_weight(row: tuple[float, ...]) -> float:
    return 1.0 - sum(row)


@pytest.mark.parametrize("name", RECTIFIED_FLOW)
def test_rectified_flow_tables_reproduce_equation_16(name: str) -> None:
    published = TABLES[name]
    x, t, velocities = NOISE, 0.0, []
    for i, (delta, row) in enumerate(
        zip(published.time_deltas, published.coefficients, strict=True)
    ):
        velocities.append(network(x, t))
        is_last = i == published.steps - 1
        step = 1.0 - t if is_last else delta  # the last time is pinned to 1
        mixed = own_weight(row) * velocities[i]
        for c, velocity in zip(row, velocities, strict=False):
            mixed = mixed + c * velocity
        x, t = x + step * mixed, t + step

    actual = solve_published(published)

    torch.testing.assert_close(actual, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", VP)
def test_vp_tables_reproduce_equation_19(name: str) -> None:
    published = TABLES[name]

    def alpha_sigma(t: float) -> tuple[float, float]:
        alpha = math.exp(-0.5 * (0.1 * t + 0.5 * 19.9 * t * t))
        return alpha, math.sqrt(1.0 - alpha * alpha)

    x, t, predictions = NOISE, 0.999, []
    for i, (delta, row) in enumerate(
        zip(published.time_deltas, published.coefficients, strict=True)
    ):
        predictions.append(network(x, t))
        is_last = i == published.steps - 1
        t_next = 1e-3 if is_last else t - delta  # the last time is clamped, here pinned, to 1e-3
        (alpha, sigma), (alpha_next, sigma_next) = alpha_sigma(t), alpha_sigma(t_next)
        mixed = own_weight(row) * predictions[i]
        for c, prediction in zip(row, predictions, strict=False):
            mixed = mixed + c * prediction
        rise = alpha_next / sigma_next - alpha / sigma
        x, t = sigma_next / sigma * x + sigma_next * rise * mixed, t_next

    actual = solve_published(published)

    torch.testing.assert_close(actual, x, rtol=0, atol=1e-12)


def solve_published(published: PublishedTable) -> Tensor:
    numbers = Coefficients.from_table(published.table)
    return solve(numbers, lambda x, n: network(x, published.table.node_times[n]), NOISE)[-1]


@pytest.mark.parametrize("name", TABLES)
def test_every_published_table_is_its_paper_form_compiled(name: str) -> None:
    published = TABLES[name]
    compile_form = vp_coefficients if name in VP else rectified_flow_coefficients
    compiled = compile_form(
        torch.tensor(published.time_deltas, dtype=torch.float64),
        coefficient_matrix(published.coefficients),
    )
    shipped = Coefficients.from_table(published.table)
    assert (compiled.schedule, compiled.prediction) == (shipped.schedule, shipped.prediction)
    for field in ("node_times", "times", "carry", "weights"):
        torch.testing.assert_close(
            getattr(compiled, field), getattr(shipped, field), rtol=0, atol=1e-14
        )


FORMS = [rectified_flow_coefficients, vp_coefficients]
Form = Callable[[Tensor, Tensor], Coefficients]


@pytest.mark.parametrize("form", FORMS)
def test_zero_coefficients_are_the_first_order_solver(form: Form) -> None:
    compiled = form(torch.full((4,), 0.25, dtype=torch.float64), torch.zeros(4, 4))
    assert [len(row) for row in compiled.to_table().weights] == [1, 1, 1, 1]


@pytest.mark.parametrize("form", FORMS)
def test_rows_move_a_constant_prediction_exactly(form: Form) -> None:
    # The rows of M sum to 1 whatever the coefficients are.
    deltas = torch.tensor([0.1, 0.3, 0.2, 0.4], dtype=torch.float64)
    plain = form(deltas, torch.zeros(4, 4, dtype=torch.float64))
    mixed = form(deltas, torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double())
    torch.testing.assert_close(mixed.weights.sum(1), plain.weights.sum(1), rtol=0, atol=1e-14)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_every_delta_and_coefficient(form: Form) -> None:
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    coefficients = torch.zeros(5, 5, dtype=torch.float64, requires_grad=True)
    compiled = form(logits.softmax(0), coefficients)
    numbers = torch.cat([compiled.carry, compiled.weights.flatten()])
    total = numbers @ torch.cos(torch.arange(30, dtype=torch.float64))
    by_logit, by_coefficient = torch.autograd.grad(total, (logits, coefficients))
    assert (by_logit != 0).all()
    strictly_lower = torch.ones(5, 5).tril(-1) == 1
    assert by_coefficient.isfinite().all()
    assert (by_coefficient[strictly_lower] != 0).all()
    assert (by_coefficient[~strictly_lower] == 0).all()


def test_one_step_of_either_form_has_only_pinned_times() -> None:
    delta, none = torch.ones(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    assert rectified_flow_coefficients(delta, none).to_table().times == (0.0, 1.0)
    table = vp_coefficients(delta, none).to_table()
    assert table.times == (0.999, 1e-3)
    assert table.prediction is Prediction.DATA
