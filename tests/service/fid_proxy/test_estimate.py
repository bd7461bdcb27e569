"""The estimate against the offline distance, torch's moments, and distances that are known."""

import math

import pytest
import torch

from diffusion_core.quality import DistanceFrom, Estimate, FeatureStatistics, frechet_distance
from service.fid_proxy.estimate import (
    estimate_in_slices,
    even_classes,
    even_groups,
    mean_and_covariance,
)

NUM_FEATURES = 16


def drawn(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, NUM_FEATURES, generator=generator).double()


def standard_normal() -> FeatureStatistics:
    """Exactly: mean 0, covariance 1."""
    size, count = NUM_FEATURES, 1_000_000
    return FeatureStatistics(
        count, torch.zeros(size).double(), (count - 1) * torch.eye(size).double()
    )


def estimated(features: torch.Tensor, labels: torch.Tensor | None = None) -> Estimate:
    if labels is None:
        labels = torch.zeros(len(features), dtype=torch.int64)
    weights = torch.ones(len(features)).double()
    slices = estimate_in_slices(features, labels, weights, DistanceFrom(standard_normal()))
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


def test_equal_weights_give_the_offline_distance() -> None:
    features = drawn(200, seed=0) * 1.3 + 0.2
    offline = frechet_distance(FeatureStatistics.of(features), standard_normal())
    assert estimated(features).value == pytest.approx(offline, rel=1e-9)


def test_weighted_moments_are_those_of_torch() -> None:
    features, weights = drawn(50, seed=1), torch.rand(50).double() + 0.1
    mean, covariance = mean_and_covariance(features, weights)
    torch.testing.assert_close(mean, (weights @ features) / weights.sum())
    torch.testing.assert_close(covariance, torch.cov(features.T, aweights=weights))


def test_every_class_weighs_the_same_however_often_it_was_asked_for() -> None:
    labels = torch.tensor([0] * 20 + [1] * 2 + [2] * 9 + [3])
    weights = even_classes(torch.rand(32).double() + 0.1, labels)
    for label in range(4):
        assert weights[labels == label].sum() == pytest.approx(1)


def test_classes_in_other_shares_than_in_the_reference_are_no_distance() -> None:
    # Two classes, far apart; one of them is asked for nine times as often.
    labels = torch.tensor([0] * 1800 + [1] * 200)
    features = drawn(2000, seed=4)
    features[:, 0] = features[:, 0] * 0.6 + torch.where(labels == 0, 0.8, -0.8)  # variance 1
    estimate = estimated(features, labels)
    assert abs(estimate.without_bias) < 0.1
    assert estimated(features).without_bias > 0.4


def test_the_bias_of_small_samples_is_taken_off_and_the_margin_holds() -> None:
    # The truth is 0: every sample comes from the reference itself.
    estimates = [estimated(drawn(64, seed)) for seed in range(40)]
    raw = sum(estimate.value for estimate in estimates) / 40
    corrected = sum(estimate.without_bias for estimate in estimates) / 40
    assert raw > 1
    assert abs(corrected) < 0.25 * raw
    held = sum(abs(estimate.without_bias) <= estimate.margin for estimate in estimates)
    assert held >= 36


def test_the_bias_of_pictures_of_all_classes_in_turn_is_not_taken_off_twice() -> None:
    # Classes that differ, and as many pictures of each: their differences are no chance.
    labels = torch.arange(128) % 16
    corrected = []
    for seed in range(20):
        features = drawn(128, seed) * 0.3
        features[torch.arange(128), labels] += math.sqrt(16 * (1 - 0.09))
        features -= features.mean(0)
        corrected.append(estimated(features, labels).without_bias)
    longer = drawn(16_000, seed=99) * 0.3
    many = torch.arange(16_000) % 16
    longer[torch.arange(16_000), many] += math.sqrt(16 * (1 - 0.09))
    truth = estimated(longer - longer.mean(0), many).value
    assert sum(corrected) / 20 == pytest.approx(truth, abs=0.3)


def test_a_known_distance_is_found() -> None:
    shifted = drawn(2000, seed=3) + 0.5  # 16 features, each a half away: 16 / 4
    estimate = estimated(shifted)
    assert estimate.without_bias == pytest.approx(4.0, abs=estimate.margin)


def test_groups_are_even_and_every_class_is_in_as_many_as_can_be() -> None:
    labels = torch.arange(1000) % 40
    groups = even_groups(labels)
    assert torch.bincount(groups).tolist() == [50] * 20
    for label in range(40):
        assert torch.bincount(groups[labels == label], minlength=20).max() <= 2
