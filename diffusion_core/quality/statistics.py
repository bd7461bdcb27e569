"""Moments of feature vectors: float64 on the host, adding up without the vectors being kept."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ..errors import ModelInvalid
from ..tensors import load_tensors


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """First and second moments of a set of feature vectors; sets add up without being kept.

    count    how many vectors
    mean     (D,)    float64
    scatter  (D, D)  float64, sum of (x - mean)(x - mean)^T
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def empty(cls, num_features: int) -> "FeatureStatistics":
        """The statistics of no vectors: where a running sum starts."""
        zeros = torch.zeros(num_features, dtype=torch.float64)
        return cls(0, zeros, torch.diag(zeros))

    @classmethod
    def of(cls, features: Tensor) -> "FeatureStatistics":
        """Statistics of features (B, D) of any precision, on any device; B is at least 1."""
        rows = features.detach().cpu().double()
        mean = rows.mean(0)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    @classmethod
    def of_moments(cls, count: int, mean: Tensor, covariance: Tensor) -> "FeatureStatistics":
        """Statistics known by their mean (D,) and unbiased covariance (D, D), as files keep them.

        Raises ValueError where the shapes disagree, or for fewer than two vectors.
        """
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise ValueError(
                f"covariance must be square over the {mean.numel()} features, "
                f"got {tuple(covariance.shape)}"
            )
        if count < 2:
            raise ValueError(f"a covariance needs at least 2 feature vectors, got {count}")
        return cls(count, mean.double(), covariance.double() * (count - 1))

    @property
    def covariance(self) -> Tensor:
        """(D, D), unbiased. Raises ValueError for fewer than two vectors."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 feature vectors, got {self.count}")
        return self.scatter / (self.count - 1)

    def __add__(self, other: "FeatureStatistics") -> "FeatureStatistics":
        """Statistics of both sets together, without cancellation.

        Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm" (1979).
        """
        count = self.count + other.count
        if count == 0:
            return self
        shift = other.mean - self.mean
        share = other.count / count
        scatter = self.scatter + other.scatter + self.count * share * torch.outer(shift, shift)
        return FeatureStatistics(count, self.mean + share * shift, scatter)

    def to_bytes(self) -> bytes:
        """A safetensors file with `count`, `mean` and `covariance`."""
        tensors = {
            "count": torch.tensor(self.count),
            "mean": self.mean,
            "covariance": self.covariance,
        }
        return save(tensors)

    @classmethod
    def load(cls, path: Path) -> "FeatureStatistics":
        """Raises ModelInvalid where the file is missing, damaged or holds something else."""
        tensors = load_tensors(path)
        if set(tensors) != {"count", "mean", "covariance"}:
            raise ModelInvalid(f"{path} must hold count, mean and covariance, got {set(tensors)}")
        count, mean, covariance = (tensors[k] for k in ("count", "mean", "covariance"))
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise ModelInvalid(f"{path}: count, mean and covariance must be finite")
        try:
            return cls.of_moments(int(count), mean, covariance)
        except ValueError as error:
            raise ModelInvalid(f"{path}: {error}") from error
