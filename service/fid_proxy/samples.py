"""What a picture tells, of which series of figures, and through whose eyes it is seen."""

from dataclasses import dataclass
from enum import StrEnum

import torch

from diffusion_core.model import LoadedModel
from diffusion_core.quality import DistanceFrom, Judge

from ..engine.requests import Pixels


class Source(StrEnum):
    LIVE = "live"  # made for a request
    CANARY = "canary"  # made by idle lanes


@dataclass(frozen=True)
class Series:
    """The labels of one figure."""

    model: str
    solver: str
    steps: int
    source: Source


@dataclass(frozen=True, eq=False)
class Observatory:
    """What the pictures of one model are looked at with."""

    judge: Judge
    distance: DistanceFrom
    num_features: int
    num_classes: int
    model_digest: str
    device: torch.device

    @classmethod
    def of(cls, model: LoadedModel, judge: Judge) -> "Observatory":
        return cls(
            judge=judge,
            distance=DistanceFrom(judge.reference),
            num_features=len(judge.reference.mean),
            num_classes=len(model.card.classes),
            model_digest=model.digest,
            device=model.device,
        )


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture on its way to the judge."""

    series: Series
    observatory: Observatory
    table_digest: str
    class_label: int
    seed: int
    pixels: Pixels
    submitted_at: float  # time.monotonic(): when it was asked for

    @property
    def maker(self) -> tuple[str, str]:
        """What made it: the weights and the table."""
        return self.observatory.model_digest, self.table_digest

    @property
    def picture(self) -> tuple[Series, tuple[str, str], int, int]:
        """What another sample has in common with this one only where it shows the same picture."""
        return self.series, self.maker, self.class_label, self.seed


@dataclass(frozen=True)
class Reading:
    """A series at one moment."""

    distance: float  # from the reference, bias of small samples corrected
    margin: float  # half the width of its 95 % interval
