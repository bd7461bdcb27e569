"""Subjects whose figures are known: a network in closed form, and a judge that looks at pixels."""

from typing import Any

import torch
from torch import Tensor, nn

from diffusion_core.decoder import PixelDecoder
from diffusion_core.quality import FeatureStatistics, Judge
from diffusion_core.schedule import get_schedule
from search_jobs.evaluate import Subject
from tests.search_jobs.search.toys import DEVIATIONS, SHAPE, exact_ends, gaussian_problem

NUM_REAL = 300
IDENTITY = "ab" * 32


class PixelJudge(nn.Module):
    """Eight pixels are the features; the class is told by the first of them, in quarters."""

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :8]

    def classify(self, features: Tensor) -> Tensor:
        quarter = ((features[:, :1] + 1) * 2).long().clamp(0, 3)
        return -(torch.arange(4) - quarter).abs().float()


def pixel_judge() -> Judge:
    """Real images are the exact ends of other noises than any evaluation's."""
    noise = torch.randn((NUM_REAL, *SHAPE), generator=torch.Generator().manual_seed(0))
    features = PixelJudge().features(exact_ends(noise).clamp(-1, 1))
    return Judge(PixelJudge(), FeatureStatistics.of(features), features)


def gaussian_subject(judge: Judge | None = None, **changes: Any) -> Subject:
    problem = gaussian_problem(**{"identity": IDENTITY, **changes})
    return Subject("gauss", problem, PixelDecoder(), judge)


class GaussianNoise:
    """The exact noise prediction on `ddpm` where channel c of the data has deviation s_c.

    noise = sigma x / (alpha^2 s^2 + sigma^2)
    """

    def __call__(self, x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
        alpha, sigma, variance = _shares(time.double())
        return (sigma * x / (alpha**2 * variance + sigma**2)).float()


def exact_ddpm_ends(noise: Tensor) -> Tensor:
    """x follows its spread, sqrt(alpha^2 s^2 + sigma^2), which is s at the end."""
    alpha, sigma, variance = _shares(torch.tensor([999.0], dtype=torch.float64))
    return (noise * (variance / (alpha**2 * variance + sigma**2)).sqrt()).float()


def _shares(time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    schedule = get_schedule("ddpm")
    alpha, sigma = schedule.alpha(time), schedule.sigma(time)
    shape = (-1, 1, 1, 1)
    return alpha.view(shape), sigma.view(shape), DEVIATIONS.double().view(1, 3, 1, 1).square()
