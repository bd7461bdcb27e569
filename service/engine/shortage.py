"""What is concluded where memory runs out at a step, and when it is taken back.

A forward of so many rows had no room: from then on half of them are the limit. Nothing else lowers
it, and it rises again by a forward of zeros, from which nobody loses a picture.

Deterministic forwards cannot have fewer rows: where theirs has no room, such images are refused.
"""

import logging
import time
from collections.abc import Mapping

from ..errors import DeterminismRefused, ServiceError
from .failures import attempted
from .lanes import LaneBank
from .pulse import Pulse, Work
from .scheduler import Lane, Scheduler, StepBatch
from .warm_up import forward_zeros

logger = logging.getLogger(__name__)

DETERMINISM_AGAIN_S = 60.0  # after it had no room; until then nobody's time is spent on trying


class Shortage:
    """On the engine's thread only."""

    def __init__(self, banks: Mapping[str, LaneBank], pulse: Pulse, scheduler: Scheduler):
        self._banks = banks
        self._pulse = pulse
        self._scheduler = scheduler
        self._no_determinism_until: dict[str, float] = {}  # by model

    def refusal(self, lane: Lane) -> ServiceError | None:
        """Why this lane need not begin, if it is so."""
        until = self._no_determinism_until.get(lane.model)
        if not lane.deterministic or until is None or time.monotonic() >= until:
            return None
        return self._no_determinism(lane.model)

    def conclude(self, batch: StepBatch) -> ServiceError | None:
        """Memory ran out at this step. Returns why no deterministic lane can go on, if it is so."""
        if not batch.pad_to:
            self._fail(batch.model, batch.rows)
            return None
        if self._has_room(batch.model, batch.pad_to):
            return None  # it was something else, and it has passed
        self._fail(batch.model, batch.pad_to)
        self._no_determinism_until[batch.model] = time.monotonic() + DETERMINISM_AGAIN_S
        return self._no_determinism(batch.model)

    def note_good_step(self, batch: StepBatch) -> None:
        """After many, try whether there is room for more rows again."""
        limit = self._scheduler.row_limit(batch.model)
        if batch.pad_to or not batch.is_full or not limit.note_full_step():
            return
        if self._has_room(batch.model, limit.wider):
            limit.widen()
            logger.info("%s: at most %d network rows a forward again", batch.model, limit.rows)
        else:
            limit.fail(limit.wider)

    def forget(self, model: str) -> None:
        """It leaves."""
        self._no_determinism_until.pop(model, None)

    def _fail(self, model: str, rows: int) -> None:
        limit = self._scheduler.row_limit(model)
        limit.fail(rows)
        logger.error("%s: now at most %d network rows a forward", model, limit.rows)

    def _has_room(self, model: str, rows: int) -> bool:
        def forward() -> None:
            with self._pulse.working(model, Work.FORWARD):
                forward_zeros(self._banks[model].model, rows)

        return attempted(f"a forward of {rows} rows of {model}, to try", forward) is None

    def _no_determinism(self, model: str) -> DeterminismRefused:
        bank = self._banks[model].model
        return DeterminismRefused(
            f"deterministic images of {model} need forwards of {bank.card.deterministic_rows} "
            f"network rows, for which {bank.device} has no room; ask for it without `deterministic`"
        )
