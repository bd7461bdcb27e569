"""How often the watch over each model failed, and when it is given up."""

from collections import Counter

IN_A_ROW = 3  # failures; what failed as often will fail again


class Failures:
    """`begin` and `total` may be used from any thread, the others from one."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()  # by model
        self._in_a_row: Counter[str] = Counter()

    def begin(self, model: str) -> None:
        """It is watched now. Without a zero to rise from, a first failure would not show."""
        self.total[model] += 0
        self._in_a_row[model] = 0

    def note_success(self, model: str) -> None:
        self._in_a_row[model] = 0

    def note(self, model: str) -> bool:
        """Returns whether there have been too many without a success between."""
        self.total[model] += 1
        self._in_a_row[model] += 1
        return self._in_a_row[model] >= IN_A_ROW
