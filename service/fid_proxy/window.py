"""The features of the newest pictures of one series, and what each of them weighs.

Newer pictures weigh more, so that a change shows before the window is full of it.
"""

from collections import deque

import torch
from torch import Tensor

from .estimate import even_classes

SIZE_PER_FEATURE = 8  # pictures in a full window
HALF_LIFE_PER_FEATURE = 4  # pictures after which an older one weighs half
MINIMUM_PER_FEATURE = 2  # effective pictures below which no distance is told
COVERAGE = 0.9  # of the classes that as many pictures of random classes would show


def minimum(num_features: int) -> int:
    """Effective pictures that a window needs: fewer say too little of so many features."""
    return MINIMUM_PER_FEATURE * num_features


class Window:
    """Keeps features, not pictures."""

    def __init__(self, num_features: int, num_classes: int):
        size = SIZE_PER_FEATURE * num_features
        self.num_new = 0  # since somebody set it to zero
        self._num_classes = num_classes
        self._half_life = HALF_LIFE_PER_FEATURE * num_features
        self._minimum = minimum(num_features)
        self._features = torch.zeros(size, num_features)
        self._labels = torch.zeros(size, dtype=torch.int64)
        self._drawn: deque[tuple[int, int]] = deque()  # class and seed, the oldest first
        self._known: set[tuple[int, int]] = set()  # the same, to look them up
        self._total = 0  # pictures that ever came

    @property
    def count(self) -> int:
        """Pictures in the window."""
        return min(self._total, len(self._features))

    def has(self, class_label: int, seed: int) -> bool:
        """Whether the picture of this class and seed is in it.

        Drawn again it is no other picture: counted as one, it would feign certainty.
        """
        return (class_label, seed) in self._known

    def add(self, features: Tensor, class_label: int, seed: int) -> None:
        """A picture that is not in it. features  (D,)"""
        self._remember((class_label, seed))
        place = self._total % len(self._features)
        self._features[place] = features
        self._labels[place] = class_label
        self._total += 1
        self.num_new += 1

    def _remember(self, drawn: tuple[int, int]) -> None:
        if self.count == len(self._features):
            self._known.remove(self._drawn.popleft())
        self._drawn.append(drawn)
        self._known.add(drawn)

    def features(self) -> Tensor:
        """(count, D) float64"""
        return self._features[: self.count].double()

    def labels(self) -> Tensor:
        """(count,) int64, in the order of `features`."""
        return self._labels[: self.count].clone()

    def weights(self) -> Tensor:
        """(count,) float64, in the order of `features`."""
        places = torch.arange(self.count)
        age = (self._total - 1 - places) % len(self._features)  # 0 is the newest
        return torch.exp2(-age.double() / self._half_life)

    @property
    def is_enough(self) -> bool:
        """Whether its pictures, as they weigh, can stand for the model's."""
        if self.count < self._minimum or not self._covers_classes:
            return False
        return bool(effective_count(even_classes(self.weights(), self.labels())) >= self._minimum)

    @property
    def _covers_classes(self) -> bool:
        """Weights even out what is rare, not what is missing."""
        expected = self._num_classes * (1 - (1 - 1 / self._num_classes) ** self.count)
        return int(torch.bincount(self.labels()).count_nonzero()) >= COVERAGE * expected


def effective_count(weights: Tensor) -> Tensor:
    """How many equal ones tell as much: (sum w)^2 / sum w^2.

    Source: Kish, "Survey Sampling" (1965).
    """
    return weights.sum().square() / weights.square().sum()
