"""Lion, against its definition written out with numbers."""

import pytest
import torch

from search_jobs.search.lion import Lion


def test_three_steps_are_those_of_the_definition() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = Lion([parameter], lr=0.01)
    value, momentum = [1.0, -2.0], [0.0, 0.0]
    for gradient in ([0.3, -0.1], [-0.02, 0.4], [-5.0, 0.0]):
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        for i, g in enumerate(gradient):
            direction = 0.9 * momentum[i] + 0.1 * g
            value[i] -= 0.01 * (1 if direction > 0 else -1 if direction < 0 else 0)
            momentum[i] = 0.99 * momentum[i] + 0.01 * g
        assert parameter.tolist() == pytest.approx(value)
