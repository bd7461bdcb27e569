"""How many network rows a forward may have, while memory is short and after."""

FIRST_PATIENCE = 50  # good full steps before more rows are tried; doubled by each failure
MAX_PATIENCE = 64 * FIRST_PATIENCE


class RowLimit:
    """Of one model: as measured, less after memory ran out, and more again when it is back."""

    def __init__(self, measured: int):
        self.measured = measured
        self.rows = measured
        self._full_steps = 0  # good ones, since the limit changed
        self._patience = FIRST_PATIENCE

    @property
    def wider(self) -> int:
        """What is tried next."""
        return min(self.measured, 2 * self.rows)

    def fail(self, rows: int) -> None:
        """A forward of so many rows had no room. Half of them may have; a guided lane must fit."""
        if rows > self.wider:
            return  # so many are not tried anyway, and of fewer it says nothing
        self.rows = min(self.rows, max(2, rows // 2))
        self._full_steps = 0
        self._patience = min(MAX_PATIENCE, 2 * self._patience)

    def note_full_step(self) -> bool:
        """A step had all the rows that it may have, and room; whether to try `wider` now."""
        if self.rows < self.measured:
            self._full_steps += 1
        return self._full_steps >= self._patience

    def widen(self) -> None:
        """`wider` has room."""
        self.rows = self.wider
        self._full_steps = 0
