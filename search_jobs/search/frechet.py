"""The Fréchet distance as something to descend.

    d(m, C) = |m - m_r|^2 + tr(C + C_r - 2 (C_r^1/2 C C_r^1/2)^1/2)

A batch is too small for a covariance, so mean and covariance are running averages over the past
batches, and the distance is linearised there: its gradients with respect to m and C are constants
of a loss that is a mean over the samples of the batch,

    l(f) = g_m . f + (f - m)^T G_C (f - m)       g_m = 2 (m - m_r)
                                                 G_C = 1 - C_r^1/2 (C_r^1/2 C C_r^1/2)^-1/2 C_r^1/2

so that nothing is differentiated through an eigendecomposition.
"""

import torch
from torch import Tensor, nn

from diffusion_core.quality import FeatureStatistics, symmetric_root

FLOOR = 1e-4  # of the eigenvalues, relative to the largest: the root's derivative is infinite at 0


class RunningFrechet(nn.Module):
    """Running moments of features (D), and the linearised distance from a reference.

    decay    of the running averages, for each batch
    """

    def __init__(self, reference: FeatureStatistics, decay: float):
        super().__init__()
        size = len(reference.mean)
        self._decay = decay
        self.register_buffer("_reference_mean", reference.mean.clone(), persistent=False)
        self.register_buffer("_reference_covariance", reference.covariance, persistent=False)
        self.register_buffer(
            "_reference_root", symmetric_root(reference.covariance), persistent=False
        )
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))
        self.register_buffer("first", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("second", torch.zeros(size, size, dtype=torch.float64))
        self._reference_mean: Tensor
        self._reference_covariance: Tensor
        self._reference_root: Tensor
        self.weight: Tensor  # what the averages' weights sum to
        self.first: Tensor  # weighted sum of f
        self.second: Tensor  # weighted sum of f f^T

    @torch.no_grad()
    def observe(self, first: Tensor, second: Tensor) -> None:
        """Take in a batch by its mean of f (D,) and of f f^T (D, D), float64."""
        self.weight.mul_(self._decay).add_(1.0 - self._decay)
        self.first.mul_(self._decay).add_(first, alpha=1.0 - self._decay)
        self.second.mul_(self._decay).add_(second, alpha=1.0 - self._decay)

    @torch.no_grad()
    def distance(self) -> float:
        """From the reference, at the running moments."""
        mean, covariance = self._moments()
        values, _ = self._cross(covariance)
        traces = covariance.trace() + self._reference_covariance.trace()
        shift = (mean - self._reference_mean).square().sum()
        return float(shift + traces - 2.0 * values.sqrt().sum())

    def loss(self, features: Tensor) -> Tensor:
        """Of a batch of features (B, D): its gradient is the distance's, at the running moments."""
        rows = features.double()
        with torch.no_grad():
            mean, covariance = self._moments()
            values, vectors = self._cross(covariance)
            floor = FLOOR * values[-1]
            inverse = (vectors / values.clamp(min=floor).sqrt()) @ vectors.T
            slope = torch.eye(len(mean), dtype=torch.float64, device=mean.device)
            slope = slope - self._reference_root @ inverse @ self._reference_root
            shift = 2.0 * (mean - self._reference_mean)
        centred = rows - mean
        return (rows @ shift + ((centred @ slope) * centred).sum(dim=1)).mean()

    def _moments(self) -> tuple[Tensor, Tensor]:
        mean = self.first / self.weight
        return mean, self.second / self.weight - torch.outer(mean, mean)

    def _cross(self, covariance: Tensor) -> tuple[Tensor, Tensor]:
        cross = self._reference_root @ covariance @ self._reference_root
        values, vectors = torch.linalg.eigh((cross + cross.T) / 2)
        return values.clamp(min=0), vectors
