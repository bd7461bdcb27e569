"""Errors of figures, against closed forms and against sampling anew many times."""

import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from diffusion_core.quality import (
    NUM_GROUPS,
    Estimate,
    FeatureStatistics,
    frechet_distance,
    frechet_estimate,
)
from diffusion_core.quality.jackknife import T_95


def groups_of(count: int) -> Tensor:
    return torch.arange(count) % NUM_GROUPS


def test_without_single_samples_the_error_of_a_mean_is_the_textbooks() -> None:
    values = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimate = Estimate.of_mean(values, torch.arange(30))
    assert estimate.value == pytest.approx(float(values.mean()))
    assert estimate.standard_error == pytest.approx(float(values.std()) / math.sqrt(30))


def test_the_margin_is_students() -> None:
    assert pytest.approx(scipy.stats.t.ppf(0.975, NUM_GROUPS - 1), abs=1e-3) == T_95
    estimate = Estimate(5.0, (4.0, 6.0))  # variance 1/2 * (1 + 1)
    assert estimate.margin == pytest.approx(T_95)
    assert estimate.interval == pytest.approx((5 - T_95, 5 + T_95))


def test_a_figure_of_the_mean_is_taken_without_each_group() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 4.0])
    estimate = Estimate.of_mean(values, torch.tensor([0, 1, 0, 1]), math.sqrt)
    assert estimate.value == pytest.approx(math.sqrt(2.5))
    assert estimate.without == pytest.approx((math.sqrt(3), math.sqrt(2)))


def test_a_shared_error_drops_out_of_a_difference() -> None:
    shared = torch.randn(200, generator=torch.Generator().manual_seed(1))
    a = Estimate.of_mean(shared + 0.1, groups_of(200))
    b = Estimate.of_mean(shared, groups_of(200))
    assert (a - b).value == pytest.approx(0.1, abs=1e-6)
    assert (a - b).margin < 1e-6 < 0.1 < a.margin


def test_figures_of_other_groups_have_no_difference() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = Estimate(1.0, (1.0, 2.0, 3.0)) - Estimate(1.0, (1.0, 2.0))


def test_a_figure_that_is_not_finite_says_so() -> None:
    assert Estimate(1.0, (1.0, 2.0)).is_finite
    assert not Estimate(math.inf, (1.0, 2.0)).is_finite
    assert not Estimate(1.0, (1.0, math.nan)).is_finite


def test_the_frechet_estimate_leaves_one_group_out_at_a_time() -> None:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn((60, 4), generator=generator)
    reference = FeatureStatistics.of(torch.randn((500, 4), generator=generator))
    groups = torch.arange(60) % 3
    estimate = frechet_estimate(features, groups, reference)
    assert estimate.value == pytest.approx(
        frechet_distance(FeatureStatistics.of(features), reference), rel=1e-9
    )
    for g in range(3):
        rest = FeatureStatistics.of(features[groups != g])
        assert estimate.without[g] == pytest.approx(frechet_distance(rest, reference), rel=1e-9)


def test_the_error_of_a_difference_of_distances_is_what_new_samples_show() -> None:
    """Two solvers that err nearly alike: 100 sets of samples, and the errors that each claims."""
    generator = torch.Generator().manual_seed(3)
    size = 6
    reference = FeatureStatistics.of(torch.randn((20_000, size), generator=generator))
    differences, claimed, alone = [], [], []
    for _ in range(100):
        first = 1.3 * torch.randn((200, size), generator=generator) + 0.2
        second = first + 0.1 * torch.randn((200, size), generator=generator) + 0.02
        a, b = (frechet_estimate(f, groups_of(200), reference) for f in (first, second))
        differences.append((a - b).value)
        claimed.append((a - b).standard_error)
        alone.append(a.standard_error)
    seen = float(torch.tensor(differences).std())
    believed = float(torch.tensor(claimed).mean())
    assert believed == pytest.approx(seen, rel=0.2)
    assert seen < 0.5 * float(torch.tensor(alone).mean())
