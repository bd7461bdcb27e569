"""The judge of samples: a classifier that ships with its model, and what real images are to it."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save
from torch import Tensor

from ..errors import ModelInvalid
from ..model import ModelFolder
from ..networks.classifier import NUM_FEATURES, GlyphClassifier
from ..tensors import load_tensors
from .frechet import frechet_distance
from .neighbours import NUM_NEIGHBOURS, Manifold
from .statistics import FeatureStatistics


def accuracy_interval(accuracy: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy measured on `count` images."""
    spread = z * z / count
    centre = accuracy + spread / 2
    width = z * math.sqrt(accuracy * (1 - accuracy) / count + spread / (4 * count))
    return (centre - width) / (1 + spread), (centre + width) / (1 + spread)


@dataclass(frozen=True)
class Quality:
    """What a judge says of a set of samples."""

    count: int
    class_accuracy: float
    frechet_distance: float


class Classifier(Protocol):
    """Reads images (B, 3, H, W) in [-1, 1]."""

    def features(self, images: Tensor) -> Tensor:
        """(B, D): what distances compare."""

    @property
    def classify(self) -> Callable[[Tensor], Tensor]:
        """Features (B, D) -> logits (B, K)."""

    def state_dict(self) -> Mapping[str, Any]:
        """All that its answers depend on."""


@dataclass(frozen=True, eq=False)
class Judge:
    """The classifier that ships with a model, and real images as it sees them."""

    classifier: Classifier
    reference: FeatureStatistics
    real_features: Tensor | None = None  # (R, 128) of some real images; None where none ship

    @cached_property
    def real(self) -> Manifold | None:
        """The region of real images, for precision."""
        return None if self.real_features is None else Manifold.of(self.real_features)

    @cached_property
    def digest(self) -> str:
        """sha256 of all that its figures depend on."""
        tensors = {f"classifier.{k}": v for k, v in self.classifier.state_dict().items()}
        tensors |= {"mean": self.reference.mean, "scatter": self.reference.scatter}
        if self.real_features is not None:
            tensors["real"] = self.real_features
        return hashlib.sha256(
            save({k: v.cpu().contiguous() for k, v in tensors.items()})
        ).hexdigest()

    @torch.inference_mode()
    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What `features` and `classify` say, in one pass: (B, 128) and (B,)."""
        features = self.classifier.features(images.clamp(-1, 1))
        return features, self.classifier.classify(features).argmax(1)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 128); images are clipped, as a PNG clips them."""
        return self.read(images)[0]

    def classify(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B,) the class that each image shows."""
        return self.read(images)[1]

    def measure(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Quality:
        """Judge batches of images (B, 3, H, W) and the classes (B,) that they were asked to show.

        Raises ValueError for fewer than two images.
        """
        statistics = FeatureStatistics.empty(NUM_FEATURES)
        correct = 0
        for images, asked in batches:
            features, shown = self.read(images)
            statistics += FeatureStatistics.of(features)
            correct += int((shown == asked).sum())
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
    real = None
    if card.reference_features is not None:
        real = load_features(folder.path / card.reference_features)
    return Judge(classifier.to(device), reference, real)


def load_classifier(path: Path, num_classes: int) -> GlyphClassifier:
    """Raises ModelInvalid where the file is missing, damaged or does not fit."""
    classifier = GlyphClassifier(num_classes)
    try:
        classifier.load_state_dict(load_tensors(path))
    except RuntimeError as error:  # torch's report of missing, unknown or misshapen tensors
        raise ModelInvalid(f"{path}: {error}") from error
    return classifier.eval().requires_grad_(False)


def save_features(features: Tensor) -> bytes:
    """A safetensors file of features (R, 128); float16 is finer than the judge is sure."""
    return save({"features": features.half().contiguous()})


def load_features(path: Path) -> Tensor:
    """(R, 128) float32. Raises ModelInvalid where they cannot be read or are too few to compare."""
    tensors = load_tensors(path)
    features = tensors.get("features")
    if set(tensors) != {"features"} or features is None or features.shape[1:] != (NUM_FEATURES,):
        raise ModelInvalid(f"{path} must hold features, (R, {NUM_FEATURES}), and nothing else")
    if len(features) <= NUM_NEIGHBOURS:
        raise ModelInvalid(f"{path} must hold more than {NUM_NEIGHBOURS}, got {len(features)}")
    return features.float()
