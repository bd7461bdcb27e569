"""Weights fitted in closed form, where the ODE's path is known."""

import pytest
import torch
from torch import Tensor

from diffusion_core.classic import solver_times, trace
from diffusion_core.coefficients import Coefficients
from diffusion_core.program import NetworkKind, compile_program, sample
from search_jobs.search import Problem
from search_jobs.search.fitting import FINER, NUM_SAMPLES, PATH_SOLVER, fitted, fitting_cost
from solver_store.table import Prediction

SHAPE = (2, 3, 3)


def gaussian(x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
    """Rectified flow onto data of normal distribution with a deviation of 0.5 and mean 0.

    x = t d + (1 - t) e      E[d - e | x] = x (t s^2 - (1 - t)) / (t^2 s^2 + (1 - t)^2)
    The ODE's path from e is e sqrt(t^2 s^2 + (1 - t)^2).
    """
    t = time.view(-1, 1, 1, 1)
    variance = t**2 * 0.25 + (1 - t) ** 2
    return x * (t * 0.25 - (1 - t)) / variance


def problem(schedule: str = "rectified-flow") -> Problem:
    return Problem(gaussian, NetworkKind(schedule, Prediction.VELOCITY), SHAPE, num_classes=2)


def classical(name: str, steps: int) -> Coefficients:
    with torch.no_grad():
        return trace(name, "rectified-flow", solver_times(name, "rectified-flow", steps))


def end_error(table: Coefficients, first_seed: int = 1000) -> float:
    """Of noises that no fit sees."""
    noise, labels = problem().draw(range(first_seed, first_seed + 8))
    found = sample(gaussian, compile_program(table, problem().kind), noise, labels)
    return float((found - 0.5 * noise).abs().max())


@pytest.mark.parametrize("name", ["euler", "ab2"])
@pytest.mark.parametrize("steps", [2, 4, 8])
def test_a_linear_path_is_met_by_any_table_whose_weights_are_fitted(name: str, steps: int) -> None:
    # On this path all states are multiples of the noise: one weight of a row is enough for each,
    # and what is left is the error of the path that it was fitted to.
    before, after = classical(name, steps), fitted(problem(), classical(name, steps))
    path = classical(PATH_SOLVER, FINER * steps)
    assert end_error(after) == pytest.approx(end_error(path), abs=1e-4)
    assert end_error(after) < end_error(before) / 3


def test_times_and_carry_stay_as_they_are() -> None:
    before, after = classical("ab2", 5), fitted(problem(), classical("ab2", 5))
    for part in ("times", "node_times", "carry"):
        assert torch.equal(getattr(before, part), getattr(after, part))
    assert not torch.equal(before.weights, after.weights)
    assert torch.equal(after.weights, after.weights.tril())


def test_it_costs_what_it_says() -> None:
    rows = 0

    def counting(x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
        nonlocal rows
        rows += len(x)
        return gaussian(x, time, class_label)

    counted = Problem(counting, problem().kind, SHAPE, num_classes=2)
    fitted(counted, classical("ab2", 6))
    assert rows == fitting_cost(6) == NUM_SAMPLES * 6 * (FINER + 1)


def test_a_solver_with_stages_is_left_as_it_is() -> None:
    heun = classical("heun", 4)
    assert fitted(problem(), heun) is heun
