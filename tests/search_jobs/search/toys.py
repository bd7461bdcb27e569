"""Networks whose ODE is known in closed form."""

from typing import Any

import torch
from torch import Tensor

from diffusion_core.program import NetworkKind
from diffusion_core.quality import FeatureStatistics
from search_jobs.search import Critic, Problem
from solver_store.table import Prediction

SHAPE = (3, 4, 4)
DEVIATIONS = torch.tensor([0.3, 0.6, 1.2])  # of the data, by channel
RECTIFIED_FLOW = NetworkKind("rectified-flow", Prediction.VELOCITY)
DDPM = NetworkKind("ddpm", Prediction.NOISE)


class GaussianVelocity:
    """The exact velocity where channel c of the data is normal with deviation s_c.

    v = (t s^2 - (1 - t)) / (t^2 s^2 + (1 - t)^2) x, and the ODE ends at s x_0.
    """

    def __init__(self) -> None:
        self.rows = 0  # network rows asked for

    def __call__(self, x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
        self.rows += len(x)
        t = time[:, None, None, None]
        variance = DEVIATIONS[:, None, None].square()
        slope = (t * variance - (1 - t)) / (t**2 * variance + (1 - t) ** 2)
        return slope * x


def gaussian_problem(**changes: Any) -> Problem:
    settings: dict[str, Any] = {
        "network": GaussianVelocity(),
        "kind": RECTIFIED_FLOW,
        "latent_shape": SHAPE,
        "num_classes": 4,
    }
    return Problem(**{**settings, **changes})


def exact_ends(noise: Tensor) -> Tensor:
    return DEVIATIONS[:, None, None] * noise


REAL_DEVIATIONS = torch.tensor([0.4, 0.5, 1.0])  # of real images: not those that the ODE gives


def features(images: Tensor) -> Tensor:
    """(B, 3, 4, 4) -> (B, 6): every image's level and contrast."""
    return torch.cat([images.mean(dim=(2, 3)), images.std(dim=(2, 3))], dim=1)


def critic() -> Critic:
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(20_000, *SHAPE, generator=generator)
    return Critic(features, FeatureStatistics.of(features(REAL_DEVIATIONS[:, None, None] * noise)))
