"""How good samples are: Fréchet distance, class accuracy, distance from the converged solution.

    distance(a, b) = |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2)

All statistics are float64 on the host: the distance is a small difference of large traces.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from .errors import ModelInvalid
from .model import ModelFolder
from .networks.classifier import NUM_FEATURES, GlyphClassifier


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
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise ModelInvalid(
                f"{path}: covariance must be square over the {mean.numel()} features, "
                f"got {tuple(covariance.shape)}"
            )
        return cls(int(count), mean, covariance * (int(count) - 1))


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


def class_accuracy(predicted: Tensor, asked: Tensor) -> float:
    """The share of images (B,) whose predicted class is the class asked for."""
    return float((predicted == asked).double().mean())


def accuracy_interval(accuracy: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy measured on `count` images."""
    spread = z * z / count
    centre = accuracy + spread / 2
    width = z * math.sqrt(accuracy * (1 - accuracy) / count + spread / (4 * count))
    return (centre - width) / (1 + spread), (centre + width) / (1 + spread)


def endpoint_rmse(samples: Tensor, converged: Tensor) -> float:
    """Root mean square difference from the converged solutions of the same noises."""
    return float((samples.double() - converged.double()).square().mean().sqrt())


@dataclass(frozen=True)
class Quality:
    """What a judge says of a set of samples."""

    count: int
    class_accuracy: float
    frechet_distance: float


@dataclass(frozen=True)
class Judge:
    """The classifier that ships with a model, and the statistics of real images under it."""

    classifier: GlyphClassifier
    reference: FeatureStatistics

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 128); images are clipped, as a PNG clips them."""
        return self.classifier.features(images.clamp(-1, 1))

    @torch.inference_mode()
    def classify(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B,) the class that each image shows."""
        logits: Tensor = self.classifier(images.clamp(-1, 1))
        return logits.argmax(1)

    def measure(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Quality:
        """Judge batches of images (B, 3, H, W) and the classes (B,) that they were asked to show.

        Raises ValueError for fewer than two images.
        """
        statistics = FeatureStatistics.empty(NUM_FEATURES)
        correct = 0
        for images, asked in batches:
            statistics += FeatureStatistics.of(self.features(images))
            correct += int((self.classify(images) == asked).sum())
        distance = frechet_distance(statistics, self.reference)
        return Quality(statistics.count, correct / statistics.count, distance)


def load_judge(folder: ModelFolder, device: torch.device | str = "cpu") -> Judge:
    """The judge that a model's card names.

    Raises ModelInvalid where the card names none, or its files are missing or damaged.
    """
    card = folder.card
    if card.judge is None or card.statistics is None:
        raise ModelInvalid(f"the card of {card.name} names no judge with reference statistics")
    classifier = load_classifier(folder.path / card.judge, len(card.classes))
    reference = FeatureStatistics.load(folder.path / card.statistics)
    if len(reference.mean) != NUM_FEATURES:
        raise ModelInvalid(
            f"{card.statistics} must describe {NUM_FEATURES} features, got {len(reference.mean)}"
        )
    return Judge(classifier.to(device), reference)


def load_classifier(path: Path, num_classes: int) -> GlyphClassifier:
    """Raises ModelInvalid where the file is missing, damaged or does not fit."""
    classifier = GlyphClassifier(num_classes)
    try:
        classifier.load_state_dict(load_tensors(path))
    except RuntimeError as error:  # torch's report of missing, unknown or misshapen tensors
        raise ModelInvalid(f"{path}: {error}") from error
    return classifier.eval().requires_grad_(False)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises ModelInvalid."""
    try:
        return load_file(path)
    except (OSError, SafetensorError, struct.error) as error:
        raise ModelInvalid(f"{path}: {error}") from error
