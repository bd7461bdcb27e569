"""How far an evaluation is, in network rows."""

from collections.abc import Callable

# told of rows done, rows in all, and what is being measured; it may raise to end the work
Tell = Callable[[int, int, str], None]


class Meter:
    """Counts rows, and tells."""

    def __init__(self, tell: Tell = lambda done, total, what: None):
        self._tell = tell
        self._done = 0
        self._total = 0
        self._foreseen = 0

    def foresee(self, rows: int) -> None:
        """About so much will be done in all, though only parts of it are known yet."""
        self._foreseen = rows

    def expect(self, rows: int) -> None:
        """There is this much more to do."""
        self._total += rows

    def advance(self, rows: int, what: str) -> None:
        """So much is done, or need not be done."""
        self._done += rows
        self._tell(self._done, max(self._total, self._foreseen), what)

    def finish(self, what: str) -> None:
        """All is done, whether or not it was as much as was foreseen."""
        self._foreseen = 0
        self._done = self._total
        self._tell(self._done, self._total, what)
