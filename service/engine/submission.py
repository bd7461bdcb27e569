"""Images on their way through the engine: submitted together, each in a lane of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .requests import EngineEvent, ImageRequest
from .scheduler import Lane

Notify = Callable[[EngineEvent], None]


class Submission:
    """Images submitted together."""

    def __init__(self, notify: Notify, forget: Callable[["Submission"], None]):
        self.notify = notify
        self.cancelled = False
        self._forget = forget

    def cancel(self) -> None:
        """Give up what is not finished; its lanes are free at the next step. Thread-safe."""
        if not self.cancelled:
            self.cancelled = True
            self._forget(self)


@dataclass(eq=False)
class ImageLane(Lane):
    """A lane with its request, its place in the bank, and whom to tell."""

    request: ImageRequest = field(kw_only=True)
    submission: Submission = field(kw_only=True)
    index: int = field(kw_only=True)  # of the image in its submission
    submitted_at: float = field(kw_only=True)
    started_at: float = field(default=0.0, init=False)
    sampled_at: float = field(default=0.0, init=False)
    slot: int | None = field(default=None, init=False)  # none before the first step

    def notify(self, event: EngineEvent) -> None:
        self.submission.notify(event)


def image_lanes(lanes: Sequence[Lane]) -> list[ImageLane]:
    """The scheduler handles plain lanes; every lane of this engine is an ImageLane."""
    return [lane for lane in lanes if isinstance(lane, ImageLane)]


def slot_of(lane: ImageLane) -> int:
    assert lane.slot is not None, "a stepping lane has a slot"
    return lane.slot
