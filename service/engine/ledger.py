"""How much work is booked, and whether more may come. The one part that threads share."""

import math
import threading

from ..errors import Draining, QueueFull, RequestTooLarge

STARTING_SECONDS_PER_ROW = 0.01  # a guess for Retry-After, until the first step is measured
RATE_MEMORY = 0.95  # how much of the known rate a new measurement leaves


class Ledger:
    """Counts images, and network rows times remaining steps, of everything not yet done."""

    def __init__(self, max_rows: int):
        self.max_rows = max_rows
        self.rows = 0
        self.images = 0
        self.draining = False
        self.seconds_per_row: float = STARTING_SECONDS_PER_ROW
        self._measured = False
        self._lock = threading.Lock()
        self._empty = threading.Event()
        self._empty.set()

    def enter(self, rows: int, images: int) -> None:
        """Book new work. Raises QueueFull, RequestTooLarge or Draining, and then books nothing."""
        if rows > self.max_rows:
            raise RequestTooLarge(
                f"a request may take at most {self.max_rows} network rows times steps, "
                f"this one takes {rows}"
            )
        with self._lock:
            if self.draining:
                raise Draining("the server is stopping")
            excess = self.rows + rows - self.max_rows
            if excess > 0:
                retry_after_s = max(1, math.ceil(excess * self.seconds_per_row))
                raise QueueFull(
                    f"the queue holds {self.rows} of {self.max_rows} network rows, this request "
                    f"takes {rows}; try again in {retry_after_s} s",
                    retry_after_s,
                )
            self.rows += rows
            self.images += images
            self._empty.clear()

    def leave(self, rows: int, images: int = 0) -> None:
        """Strike out work that was done or dropped."""
        with self._lock:
            self.rows -= rows
            self.images -= images
            if self.images == 0:
                self._empty.set()

    def measure(self, rows: int, duration_s: float) -> None:
        """Learn from a step how long a network row takes."""
        measured = duration_s / rows
        if self._measured:
            self.seconds_per_row += (1 - RATE_MEMORY) * (measured - self.seconds_per_row)
        else:
            self.seconds_per_row, self._measured = measured, True

    def close(self) -> None:
        """Refuse new work from now on."""
        with self._lock:
            self.draining = True

    def wait_until_empty(self, timeout_s: float) -> bool:
        return self._empty.wait(timeout_s)
