"""What goes into the engine and what comes out of it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from diffusion_core.program import StepProgram

from ..errors import ServiceError

Pixels = npt.NDArray[np.uint8]  # (H, W, 3)


class Report(IntEnum):
    """What a request wants to hear before its picture is done."""

    NOTHING = 0
    STEPS = 1  # that a step was made
    PREVIEWS = 2  # and the picture as the solver sees it, which costs a decoding at each step


@dataclass(frozen=True)
class Watched:
    """Whose quality a picture tells: the solver as the figures name it, and its table's digest."""

    solver: str
    digest: str


@dataclass(frozen=True)
class ImageRequest:
    """One image to make: everything the engine needs, nothing of HTTP."""

    model: str
    program: StepProgram
    class_label: int
    guidance_scale: float  # exactly 1 takes one network row a step, anything else two
    seed: int
    deterministic: bool = False  # bit for bit the same beside any neighbours
    deadline_at: float | None = None  # time.monotonic()
    report: Report = Report.NOTHING
    guided_channels: int | None = None  # None: as the model's card says
    watched: Watched | None = None  # None: the picture says nothing about any solver

    @property
    def rows(self) -> int:
        """Network rows that a step takes."""
        return 1 if self.guidance_scale == 1.0 else 2

    @property
    def cost(self) -> int:
        """Network rows times steps: the unit in which the queue is bounded."""
        return self.rows * self.program.steps


@dataclass(frozen=True)
class StepDone:
    """An image advanced by one step; sent only where the request asked for reports."""

    index: int  # of the image in its submission
    step: int  # 1..steps
    steps: int
    preview: Pixels | None


@dataclass(frozen=True)
class ImageDone:
    index: int
    pixels: Pixels
    queue_s: float  # from submission to the first step
    sampling_s: float  # first step to last step
    decode_s: float


@dataclass(frozen=True)
class ImageLost:
    """The image will not come."""

    index: int
    error: ServiceError


EngineEvent = StepDone | ImageDone | ImageLost
