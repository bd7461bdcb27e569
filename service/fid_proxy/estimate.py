"""The Fréchet distance of a window's pictures, with its error and without small-sample bias.

A few hundred pictures seem farther from the reference than they are (256 real ones of the bundled
model by some 50): the error of a covariance has a positive distance itself. That bias falls as
1 / n, which is what the delete-a-group jackknife takes off; it also tells the margin.

Every class weighs the same, as in the reference, however often it was asked for. What a group takes
away is evened out again, or the jackknife would count the classes' differences as chance.
"""

from collections.abc import Generator

import torch
from torch import Tensor

from diffusion_core.quality import NUM_GROUPS, DistanceFrom, Estimate


def estimate_in_slices(
    features: Tensor, labels: Tensor, weights: Tensor, distance: DistanceFrom
) -> Generator[None, None, Estimate]:
    """Yields after every eigenproblem, so that others may have a turn.

    features  (B, D)  float64
    labels    (B,)    int64, the class of each picture
    weights   (B,)    float64, of each picture among those of its class
    """
    groups = even_groups(labels)
    figures: list[float] = []
    for left_out in (-1, *range(NUM_GROUPS)):
        if figures:
            yield
        kept = groups != left_out
        evened = even_classes(weights[kept], labels[kept])
        figures.append(distance(*mean_and_covariance(features[kept], evened)))
    return Estimate(figures[0], tuple(figures[1:]))


def even_classes(weights: Tensor, labels: Tensor) -> Tensor:
    """(B,) scaled so that the pictures of every class weigh 1 together."""
    size = int(labels.max()) + 1
    of_class = torch.zeros(size, dtype=weights.dtype).index_add_(0, labels, weights)
    return weights / of_class[labels]


def mean_and_covariance(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """(D,) and (D, D), unbiased where the weights do not depend on the features.

    covariance = sum w (f - mean)(f - mean)^T / (W - sum w^2 / W)      W = sum w
    """
    total = weights.sum()
    mean = weights @ features / total
    centred = features - mean
    scatter = centred.T @ (weights[:, None] * centred)
    return mean, scatter / (total - weights.square().sum() / total)


def even_groups(labels: Tensor) -> Tensor:
    """(B,) the group of each picture: at random, but as many in each, and as many of each class."""
    generator = torch.Generator().manual_seed(len(labels))
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[torch.argsort(labels[shuffled], stable=True)]
    groups = torch.empty_like(labels)
    groups[by_class] = torch.arange(len(labels)) % NUM_GROUPS
    return groups
