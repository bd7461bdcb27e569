"""The Fréchet distance between two sets of features.

    distance(a, b) = |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2)

Everything is float64 on the host: the distance is a small difference of large traces.
"""

import torch
from torch import Tensor

from .jackknife import Estimate, without_each
from .statistics import FeatureStatistics


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Fréchet distance between two normal distributions fitted to features.

    Through symmetric eigenproblems only: the textbook root of C_a C_b is not symmetric and turns
    complex where a covariance is singular, which any sample smaller than its features makes it.

    Source: Dowson & Landau (1982); Heusel et al. (2017) for its use on features.
    """
    root = symmetric_root(a.covariance)
    cross = root @ b.covariance @ root
    eigenvalues = torch.linalg.eigvalsh((cross + cross.T) / 2).clamp(min=0)
    traces = a.covariance.trace() + b.covariance.trace() - 2 * eigenvalues.sqrt().sum()
    return float((a.mean - b.mean).square().sum() + traces)


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
    return Estimate(
        frechet_distance(reference, sum(parts, nothing)),
        tuple(frechet_distance(reference, sum(others, nothing)) for others in without_each(parts)),
    )
