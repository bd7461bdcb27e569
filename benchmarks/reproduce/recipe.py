"""All that an image follows from, but its number."""

from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np

from solver_store.records import JSON


class Labels(StrEnum):
    """Which class image i shows."""

    BALANCED = "balanced"  # i mod K: every class equally often
    UNIFORM = "uniform"  # drawn from the image's own seed

    def of(self, number: int, seed: int, num_classes: int) -> int:
        if self is Labels.BALANCED:
            return number % num_classes
        # Far from the numbers that the noise of this seed is made of.
        return int(np.random.Generator(np.random.Philox(seed).jumped()).integers(num_classes))


@dataclass(frozen=True)
class Recipe:
    """Images with equal recipes and numbers are equal, whichever process makes them.

    Image i starts from seed + i. Images are sampled together with their neighbours in its piece of
    the work: sizes of pieces and batches are part of it, for rounding differs with them.
    """

    model: str  # sha256 of the weights
    autoencoder: str | None  # sha256 of its weights and configuration
    table: str  # digest of the solver
    guidance_scale: float
    guided_channels: int
    labels: Labels
    seed: int
    dtype: str
    batch_size: int
    piece: int  # images

    def as_dict(self) -> dict[str, JSON]:
        return asdict(self)
