"""Some samples at a time: as many as memory has room for, found by running out of it."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from diffusion_core.memory import if_room

from ..errors import SearchRefused

logger = logging.getLogger(__name__)

Made = TypeVar("Made")


class Portions:
    """How many are worked on together. Half as many from when memory runs out, for good."""

    def __init__(self, size: int):
        self.size = max(1, size)

    def of(self, whole: range, work: Callable[[range], Made]) -> Iterator[Made]:
        """What work makes of every portion, in order; one that did not fit is done again.

        Raises SearchRefused where a single one does not fit.
        """
        start = 0
        while start < len(whole):
            part = whole[start : start + self.size]
            made = self._made(work, part)
            if made is not None:
                start += len(part)
                yield made

    def _made(self, work: Callable[[range], Made], part: range) -> Made | None:
        """None where memory ran out."""
        made = if_room(partial(work, part))
        if made is not None:
            return made
        if len(part) == 1:
            raise SearchRefused(
                "nothing can be measured: memory runs out already at a single sample"
            )
        self.size = len(part) // 2
        logger.warning("out of memory at %d samples; now %d at a time", len(part), self.size)
        return None
