"""A search recomputes a solver's weights at the current times: gradients must reach all of them."""

import pytest
import torch
from torch import Tensor

from diffusion_core.classic import CLASSICAL_SOLVERS, classical_table, trace
from solver_store.table import SCHEDULES

NAMES = (*CLASSICAL_SOLVERS, "unipc-2-bh1", "unipc-3-bh1")


def some_sum(name: str, schedule: str, times: Tensor) -> Tensor:
    """One number that depends on every weight and carry."""
    traced = trace(name, schedule, times)
    numbers = torch.cat([traced.carry, traced.weights.flatten()])
    return numbers @ torch.cos(torch.arange(len(numbers), dtype=torch.float64))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_at_the_ends_and_exact_between(name: str, schedule: str) -> None:
    table = classical_table(name, schedule, 6)
    times = torch.tensor(table.times, dtype=torch.float64)
    # Away from the ends, and off the indices, where ddpm has kinks.
    free = times != times[0]
    free &= times != times[-1]
    span = abs(table.times[0] - table.times[-1])
    times = torch.where(free, times + 0.0133 * span, times).requires_grad_()

    (gradient,) = torch.autograd.grad(some_sum(name, schedule, times), times)

    assert gradient.isfinite().all()
    with torch.no_grad():
        for t in times[free].unique():  # Heun's stand twice
            nudge = 1e-6 * span * (times == t)
            rise = some_sum(name, schedule, times + nudge)
            rise = rise - some_sum(name, schedule, times - nudge)
            slope = rise.item() / (2e-6 * span)
            assert slope != 0.0
            assert gradient[times == t].sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-8)
