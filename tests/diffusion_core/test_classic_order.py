"""The measured order of convergence, on an interior interval with an exact starting history.

Each solver is traced on a uniform grid that begins a few steps before the interval. On those steps
the states are replaced by the ODE's solution, so that every row that is measured runs at full order
on exact predictions. UniPC's rows contain the corrector of the step before; on exact states that
differs from the exact state by one local error, which does not change the order.
"""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.classic import trace
from diffusion_core.schedule import Schedule, get_schedule
from tests.diffusion_core.analytic import NOISE, exact_states, prediction

RF, VP = get_schedule("rectified-flow"), get_schedule("vp")
INTERVALS = {"rectified-flow": (0.3, 0.7), "vp": (0.5, 0.25)}
LEADING = 4  # as many exact states as the longest history needs
STEPS = (16, 32, 64)

ORDERS = {
    "euler": 1,
    "heun": 2,
    "ab2": 2,
    "ab3": 3,
    "ab4": 4,
    "ddim": 1,
    "dpmpp-2m": 2,
    "dpmpp-3m": 2,  # as everyone runs it: see dpm_solver.py
    "unipc-2": 3,  # the corrector adds one
    "unipc-2-bh1": 3,
    "unipc-3": 4,
    "unipc-3-bh1": 4,
    "deis-3": 3,
}


@pytest.mark.parametrize("schedule", [RF, VP], ids=lambda s: s.name)
@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_measured_order(name: str, order: int, schedule: Schedule) -> None:
    errors = [endpoint_error(name, schedule, steps) for steps in STEPS]
    slope = -np.polyfit(np.log(STEPS), np.log(errors), 1)[0]
    assert order - 0.25 < slope < order + 0.25, errors


def endpoint_error(name: str, schedule: Schedule, steps: int) -> float:
    grid, exact = exact_solution(schedule, steps)
    if name == "heun":
        grid = torch.cat([grid[:1], grid[1:].repeat_interleave(2)])
        return _error(name, schedule, grid, exact, leading=2 * LEADING)
    return _error(name, schedule, grid, exact, leading=LEADING)


@cache
def exact_solution(schedule: Schedule, steps: int) -> tuple[Tensor, Tensor]:
    """The grid with its leading steps, and the states on it."""
    start, end = INTERVALS[schedule.name]
    step = (end - start) / steps
    grid = start + step * torch.arange(-LEADING, steps + 1, dtype=torch.float64)
    return grid, exact_states(schedule, grid, NOISE)


def _error(name: str, schedule: Schedule, times: Tensor, exact: Tensor, leading: int) -> float:
    numbers = trace(name, schedule.name, times)
    history: list[Tensor] = []
    x = exact[0]
    for n in range(numbers.nfe):
        if n <= leading:
            # Heun's grid stands twice at every time: exact states serve for both stages.
            x = exact[n if name != "heun" else (n + 1) // 2]
        history.append(prediction(schedule, numbers.prediction, x, times[n]))
        x = numbers.carry[n] * x + numbers.weights[n, : n + 1] @ torch.stack(history)
    return (x - exact[-1]).abs().max().item()
