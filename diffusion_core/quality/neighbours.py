"""Precision and recall: which samples could be real images, which real images could be samples.

A set of features stands for all that lies within the distance of any member's k-th nearest
neighbour. Precision is the share of samples in the real set's region, recall the share of real
images in the samples' region: it falls where a model leaves kinds of images out.

Recall grows with the number of samples, and both depend on the number of real images: figures
compare at equal counts only. Distances are float32, summed difference by difference: the quicker
form |a|^2 + |b|^2 - 2ab cancels between near neighbours.

Source: Kynkäänniemi et al., "Improved precision and recall metric" (2019), k = 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .jackknife import Estimate

NUM_NEIGHBOURS = 3
MAX_DISTANCES = 2**22  # held at once


@dataclass(frozen=True, eq=False)
class Manifold:
    """The region that a set of features stands for.

    features  (N, D)  float32
    radii     (N,)    distance of each to its k-th nearest neighbour in the set
    """

    features: Tensor
    radii: Tensor

    @classmethod
    def of(cls, features: Tensor, k: int = NUM_NEIGHBOURS) -> "Manifold":
        """Raises ValueError for k features or fewer."""
        if len(features) <= k:
            raise ValueError(f"{k} neighbours need more than {k} features, got {len(features)}")
        rows = features.float()
        return cls(rows, torch.cat([_kth(between, k) for between in _distances(rows, rows)]))

    def __len__(self) -> int:
        return len(self.features)

    def covers(self, points: Tensor) -> Tensor:
        """(P, D) -> (P,) bool."""
        within = [
            (between <= self.radii).any(dim=1)
            for between in _distances(points.float(), self.features)
        ]
        return torch.cat(within)


def precision_estimate(samples: Tensor, groups: Tensor, real: Manifold) -> Estimate:
    """The share of samples (B, D) that lie in the region of real images."""
    return Estimate.of_mean(real.covers(samples), groups)


def recall_estimate(
    samples: Tensor, groups: Tensor, real: Tensor, k: int = NUM_NEIGHBOURS
) -> Estimate:
    """The share of real images (R, D) that lie in the region of the samples.

    Without a group the others' regions grow: every radius is found again.

    samples  (B, D)
    groups   (B,)    int64, the group of each sample

    Raises ValueError where a group leaves only k samples or fewer.
    """
    rows = samples.float()
    sizes = groups.bincount()
    num_groups = len(sizes)
    if len(rows) - int(sizes.max()) <= k:
        raise ValueError(f"{k} neighbours need more than {k} samples beside any group of theirs")
    radii = torch.cat([_radii_without(b, groups, k) for b in _distances(rows, rows)], dim=1)
    for g in range(num_groups):
        radii[1 + g, groups == g] = -1.0  # covers nothing
    covered = torch.zeros(1 + num_groups, dtype=torch.int64)
    for between in _distances(real.float(), rows):
        covered += torch.stack([(between <= radius).any(dim=1).sum() for radius in radii])
    whole, *without = (covered.double() / len(real)).tolist()
    return Estimate(whole, tuple(without))


def _radii_without(between: Tensor, groups: Tensor, k: int) -> Tensor:
    """Distances (P, B) to all samples -> (1 + G, P): k-th nearest of all, of all but group 0, …"""
    radii = [_kth(between, k)]
    for g in range(int(groups.max()) + 1):
        radii.append(_kth(between.masked_fill(groups == g, torch.inf), k))
    return torch.stack(radii)


def _kth(between: Tensor, k: int) -> Tensor:
    """The k-th nearest of each row, but for the row's own point at distance 0."""
    return between.kthvalue(k + 1, dim=1).values


def _distances(points: Tensor, centres: Tensor) -> Iterator[Tensor]:
    """(P, D), (N, D) -> (p, N), some points at a time."""
    size = max(1, MAX_DISTANCES // len(centres))
    for start in range(0, len(points), size):
        part = points[start : start + size]
        yield torch.cdist(part, centres, compute_mode="donot_use_mm_for_euclid_dist")
