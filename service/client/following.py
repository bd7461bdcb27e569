"""Following a search over connections that may break."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .errors import AnswerUnreadable, ClientError, ProblemError
from .event_lines import SentEvent
from .searches import Finished, SearchEvent, search_event

RECONNECT_EVERY_S = 1.0
RECONNECT_FOR_S = 60.0
PASSING = frozenset({502, 503, 504})  # a server that restarts, or something before it


@dataclass
class Place:
    """Where a reader is in a stream that may take several connections."""

    number: int  # of the last event that was read
    is_end: bool = False
    was_connected: bool = False
    lost_at: float | None = None  # None while connected

    def connected(self, is_end: bool) -> None:
        self.is_end = is_end
        self.was_connected = True
        self.lost_at = None

    def lost(self, error: ClientError | None) -> None:
        """Wait a little, unless the error will not pass or has lasted too long: then raise it."""
        now = time.monotonic()
        self.lost_at = self.lost_at or now
        if error is not None and not self._may_pass(error, now - self.lost_at):
            raise error
        time.sleep(RECONNECT_EVERY_S)

    def _may_pass(self, error: ClientError, for_s: float) -> bool:
        if isinstance(error, AnswerUnreadable):  # the same event would come again
            return False
        if isinstance(error, ProblemError) and error.status not in PASSING:
            return False
        return self.was_connected and for_s < RECONNECT_FOR_S


def follow(connect: Callable[[Place], Iterator[SentEvent]], after: int) -> Iterator[SearchEvent]:
    """Every event after number `after`, once each, over as many connections as it takes."""
    place = Place(after)
    while True:
        error = None
        try:
            for sent in connect(place):
                place.number = sent.number or place.number
                event = search_event(sent)
                if event is not None:
                    yield event
                if isinstance(event, Finished):
                    return
        except ClientError as caught:
            error = caught
        if place.is_end:
            return
        place.lost(error)
