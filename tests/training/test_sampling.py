import math

import pytest
import torch
from torch import Tensor

from diffusion_core.networks.dit import DiT, DiTConfig
from training.sampling import ADAMS_BASHFORTH, guided_velocity, sample

CONFIG = DiTConfig(
    input_size=4, patch_size=2, in_channels=1, hidden_size=8, depth=1, num_heads=1, num_classes=3
)


class LinearVelocity(DiT):
    """v = (t + label) * x, solved exactly by x(1) = x(0) * exp(1/2 + label)."""

    def forward(self, x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
        return (time + class_label)[:, None, None, None] * x


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_weights_reproduce_polynomials_up_to_their_order(order: int) -> None:
    # Over one step from 0 to 1, with past values at 0, -1, -2 ...: the integral of s^k is 1/(k+1).
    weights = ADAMS_BASHFORTH[order]
    for power in range(order):
        extrapolated = sum(w * (-float(n)) ** power for n, w in enumerate(weights))
        assert extrapolated == pytest.approx(1 / (power + 1))


def test_samples_converge_to_the_exact_solution() -> None:
    noise, labels = torch.ones(2, 1, 4, 4), torch.tensor([0, 1])
    exact = [math.exp(0.5), math.exp(1.5)]
    found = sample(LinearVelocity(CONFIG), noise, labels, 1.0, num_steps=100, order=4)
    assert found[:, 0, 0, 0].tolist() == pytest.approx(exact, rel=1e-3)


def test_guidance_extrapolates_from_the_null_class() -> None:
    network, x = LinearVelocity(CONFIG), torch.ones(1, 1, 4, 4)
    velocity = guided_velocity(network, x, 0.25, torch.tensor([1]), guidance_scale=2.0)
    conditional, null = 1.25, 3.25  # the null class has label 3
    assert velocity[0, 0, 0, 0].item() == pytest.approx(null + 2 * (conditional - null))
