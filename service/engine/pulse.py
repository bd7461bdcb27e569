"""Signs of life of the engine's thread, for those who ask from outside whether it works."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum, auto

PATIENCE = 5  # times what such work takes: longer, and it is taken for stuck
LEAST_ALLOWED_S = 10.0  # other processes may hold up even the shortest
UNKNOWN_ALLOWED_S = 60.0  # to the first of its kind, which may have to compile something
FADING = 0.9  # of the longest that is remembered, with each that is shorter


class Work(Enum):
    FORWARD = auto()
    DECODING = auto()


class Pulse:
    """Written by the engine's thread, read by all."""

    def __init__(self) -> None:
        self.last_progress_at: float | None = None  # time.monotonic(), as below
        self.overdue_at: float | None = None  # of what is in flight; None where nothing is
        self._longest_s: dict[tuple[str, Work], float] = {}
        self._came_through = True  # what was in flight last

    def working(self, model: str, work: Work) -> AbstractContextManager[None]:
        """What is done within is a sign of life while it takes no longer than such work does.

        Unless what came before it failed: then only its end is one.
        """
        allowed_s = self._allowed_s(model, work) if self._came_through else 0.0
        return self._in_flight(model, work, allowed_s)

    def trying(self, model: str, work: Work) -> AbstractContextManager[None]:
        """Of what is done within, only the end is a sign of life."""
        return self._in_flight(model, work, allowed_s=0.0)

    def patience_s(self, model: str, work: Work) -> float:
        """What may well be waited for such work; 0 where it was never seen."""
        return PATIENCE * self._longest_s.get((model, work), 0.0)

    def forget(self, model: str) -> None:
        """It leaves."""
        for work in Work:
            self._longest_s.pop((model, work), None)

    def _allowed_s(self, model: str, work: Work) -> float:
        if (model, work) not in self._longest_s:
            return UNKNOWN_ALLOWED_S
        return max(LEAST_ALLOWED_S, self.patience_s(model, work))

    @contextmanager
    def _in_flight(self, model: str, work: Work, allowed_s: float) -> Iterator[None]:
        started = time.monotonic()
        self.overdue_at = started + allowed_s
        self._came_through = False
        try:
            yield
            self._came_through = True
            self.last_progress_at = time.monotonic()
            remembered_s = FADING * self._longest_s.get((model, work), 0.0)
            self._longest_s[model, work] = max(self.last_progress_at - started, remembered_s)
        finally:
            self.overdue_at = None
