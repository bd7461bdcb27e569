"""ADM's figures, by hand and by the textbook's formulas."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from diffusion_core.adm import (
    InceptionQuality,
    InceptionReference,
    inception_quality,
    inception_score,
)
from diffusion_core.quality import FeatureStatistics


def test_pictures_that_say_nothing_of_their_class_score_one() -> None:
    assert inception_score(torch.zeros(10, 5)) == pytest.approx(1)


def test_pictures_that_are_sure_of_different_classes_score_their_number() -> None:
    assert inception_score(1000 * torch.eye(5).repeat(4, 1)) == pytest.approx(5)


def test_the_score_is_the_mean_over_parts_in_their_order() -> None:
    sure = 1000 * torch.eye(4)
    alike = sure[:1].repeat(4, 1)
    score = inception_score(torch.cat([sure, alike]), together=4)
    assert score == pytest.approx((4 + 1) / 2)


def test_the_score_equals_the_textbook_formula() -> None:
    logits = torch.randn(30, 7, generator=torch.Generator().manual_seed(0))
    p = np.exp(logits.double().numpy())
    p /= p.sum(1, keepdims=True)
    divergence = (p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean()
    assert inception_score(logits) == pytest.approx(np.exp(divergence), rel=1e-9)


SAMPLES = torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
SPATIAL = torch.randn(200, 4, generator=torch.Generator().manual_seed(2))
REAL = torch.randn(150, 6, generator=torch.Generator().manual_seed(3)) * 1.5 + 0.3
REAL_SPATIAL = torch.randn(150, 4, generator=torch.Generator().manual_seed(4)) + 1


@pytest.fixture(scope="module")
def quality() -> InceptionQuality:
    head = torch.nn.Linear(6, 10)
    eyes: Any = SimpleNamespace(fc=head, logits=lambda pool: pool @ head.weight.T)
    reference = InceptionReference(FeatureStatistics.of(REAL), FeatureStatistics.of(REAL_SPATIAL))
    return inception_quality(eyes, SAMPLES, FeatureStatistics.of(SPATIAL), REAL, reference)


def test_both_distances_equal_the_textbook_formula(quality: InceptionQuality) -> None:
    assert quality.fid == pytest.approx(textbook(SAMPLES, REAL), rel=1e-6)
    assert quality.sfid == pytest.approx(textbook(SPATIAL, REAL_SPATIAL), rel=1e-6)


def test_precision_and_recall_count_neighbours(quality: InceptionQuality) -> None:
    assert quality.precision == covered(REAL, SAMPLES)
    assert quality.recall == covered(SAMPLES, REAL)
    assert quality.precision > quality.recall  # samples are narrower than real ones


def textbook(a: Tensor, b: Tensor) -> float:
    x, y = a.double().numpy(), b.double().numpy()
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = x.mean(0) - y.mean(0)
    root = scipy.linalg.sqrtm(cov_x @ cov_y)
    return float(shift @ shift + np.trace(cov_x + cov_y - 2 * root.real))


def covered(centres: Tensor, points: Tensor) -> float:
    """Which points lie within the third neighbour's distance of a centre."""
    c, p = centres.double().numpy(), points.double().numpy()
    between = np.linalg.norm(c[:, None] - c[None], axis=2)
    radii = np.sort(between, axis=1)[:, 3]  # the nearest is itself
    return float(np.mean((np.linalg.norm(p[:, None] - c[None], axis=2) <= radii).any(1)))
