"""The Fréchet distance between two sets of features.

    distance(a, b) = |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2)

Everything is float64 on the host: the distance is a small difference of large traces.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .jackknife import Estimate, without_each
from .statistics import FeatureStatistics


class DistanceFrom:
    """The distance from one reference, whose root is taken once.

    Through symmetric eigenproblems only: the textbook root of C_a C_b is not symmetric and turns
    complex where a covariance is singular, which any sample smaller than its features makes it.

    Source: Dowson & Landau (1982); Heusel et al. (2017) for its use on features.
    """

    def __init__(self, reference: FeatureStatistics):
        self._mean = reference.mean
        self._trace = reference.covariance.trace()
        self._root = symmetric_root(reference.covariance)

    def __call__(self, mean: Tensor, covariance: Tensor) -> float:
        """To the normal distribution of a mean (D,) and a covariance (D, D), both float64."""
        cross = self._root @ covariance @ self._root
        eigenvalues = torch.linalg.eigvalsh((cross + cross.T) / 2).clamp(min=0)
        traces = self._trace + covariance.trace() - 2 * eigenvalues.sqrt().sum()
        return float((self._mean - mean).square().sum() + traces)


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Fréchet distance between two normal distributions fitted to features."""
    return DistanceFrom(a)(b.mean, b.covariance)


def symmetric_root(matrix: Tensor) -> Tensor:
    """The positive root of a positive semidefinite matrix (D, D)."""
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    return (vectors * eigenvalues.clamp(min=0).sqrt()) @ vectors.T


def frechet_estimate(features: Tensor, groups: Tensor, reference: FeatureStatistics) -> Estimate:
    """The distance of samples from a reference, whole and without each group.

    features  (B, D)
    groups    (B,)    int64, the group of each sample
    """
    parts = [FeatureStatistics.of(features[groups == g]) for g in range(int(groups.max()) + 1)]
    nothing = FeatureStatistics.empty(features.shape[1])
    distance = DistanceFrom(reference)

    def of(sets: Sequence[FeatureStatistics]) -> float:
        together = sum(sets, nothing)
        return distance(together.mean, together.covariance)

    return Estimate(of(parts), tuple(of(others) for others in without_each(parts)))
