"""From latents to pictures: a slice at a time, between two steps."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from ..errors import OutOfMemory, ServiceError
from .failures import attempted, diverged
from .lanes import LaneBank
from .ledger import Ledger
from .observer import EngineObserver
from .pulse import Pulse, Work
from .requests import Pixels
from .submission import ImageLane, slot_of

logger = logging.getLogger(__name__)

MAX_WAITING_SLICES = 2  # of a model; while more wait, it makes no steps


class Decoding:
    """Holds the images that are sampled, until they are decoded. On the engine's thread only.

    Models take turns here as well, a slice each. Background images are decoded while there is no
    other image at all.
    """

    def __init__(
        self,
        banks: Mapping[str, LaneBank],
        pulse: Pulse,
        ledger: Ledger,
        observer: EngineObserver,
    ):
        self._banks = banks
        self._pulse = pulse
        self._ledger = ledger
        self._observer = observer
        self._lanes: list[ImageLane] = []  # in the order in which they came
        self._turns = 0
        self._last_turn: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def __iter__(self) -> Iterator[ImageLane]:
        return iter(self._lanes)

    def add(self, lane: ImageLane) -> None:
        self._lanes.append(lane)

    def remove(self, lane: ImageLane) -> None:
        self._lanes.remove(lane)

    def forget(self, model: str) -> None:
        """It leaves, and has no image here."""
        self._last_turn.pop(model, None)

    def behind(self, steps_awaited: bool) -> set[str]:
        """Models of which too much waits: to sample more would only fill memory.

        steps_awaited: whether somebody waits for a lane that still steps
        """
        waiting = Counter(lane.model for lane in self._ready(steps_awaited))
        return {
            model
            for model, count in waiting.items()
            if count > MAX_WAITING_SLICES * self._slice_size(model)
        }

    def decode_slice(self, steps_awaited: bool) -> list[tuple[ImageLane, Pixels | ServiceError]]:
        """What became of the slice; so long, and no longer, the next step has to wait."""
        ready = self._ready(steps_awaited)
        if not ready:
            return []
        # min() takes the first among equals: the model whose image came first.
        model = min((lane.model for lane in ready), key=lambda name: self._last_turn.get(name, 0))
        self._turns += 1
        self._last_turn[model] = self._turns
        peers = (lane for lane in ready if lane.model == model)
        lanes = list(islice(peers, self._slice_size(model)))
        for lane in lanes:
            self._lanes.remove(lane)
        return list(zip(lanes, self._pictures(lanes), strict=True))

    def _ready(self, steps_awaited: bool) -> list[ImageLane]:
        """Either all of them are in the background, or none."""
        awaited = [lane for lane in self._lanes if not lane.background]
        return awaited if awaited or steps_awaited else self._lanes

    def _slice_size(self, model: str) -> int:
        return self._banks[model].model.decoder.images_at_once

    def _pictures(self, lanes: Sequence[ImageLane]) -> list[Pixels | ServiceError]:
        """Of each lane; where memory runs out, of half of them at a time."""
        what = f"decoding {len(lanes)} images of {lanes[0].model}"
        pictures = attempted(what, partial(self._decoded, lanes))
        if not isinstance(pictures, ServiceError):
            return [
                _diverged(lane) if picture is None else picture
                for lane, picture in zip(lanes, pictures, strict=True)
            ]
        if isinstance(pictures, OutOfMemory) and len(lanes) > 1:
            half = len(lanes) // 2
            return self._pictures(lanes[:half]) + self._pictures(lanes[half:])
        return [pictures for _ in lanes]

    def _decoded(self, lanes: Sequence[ImageLane]) -> list[Pixels | None]:
        """Raises what decoding raises."""
        model, started = lanes[0].model, time.monotonic()
        try:
            with self._pulse.working(model, Work.DECODING):
                return self._banks[model].finish([slot_of(lane) for lane in lanes])
        finally:
            if not lanes[0].background:
                duration_s = time.monotonic() - started
                self._ledger.note_decoding(model, duration_s)
                self._observer.on_decode(model, duration_s)


def _diverged(lane: ImageLane) -> ServiceError:
    loss = diverged(lane.request)
    # For the log, too: where it happens to every image, the model is broken.
    logger.warning("%s: %s", lane.model, loss)
    return loss
