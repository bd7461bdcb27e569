"""How much work is booked, and whether more may come. The one part that threads share."""

import math
import threading
from collections import defaultdict
from dataclasses import dataclass

from ..errors import Draining, QueueFull, RequestTooLarge
from .pace import Lately, Pace

STARTING_SECONDS_PER_ROW = 0.01  # a guess, until the first step is measured


@dataclass
class Queue:
    """What is booked of one model."""

    rows: int = 0
    images: int = 0


class Ledger:
    """Counts images, and network rows times steps to come, of all whose picture is not out yet.

    Every model has a queue of its own: a full one is nothing to the requests for another model.
    """

    def __init__(self, max_rows: int):
        self.max_rows = max_rows  # of each queue
        self.draining = False
        self._queues: dict[str, Queue] = {}  # those that are not empty
        self._paces: defaultdict[str, Pace] = defaultdict(lambda: Pace(STARTING_SECONDS_PER_ROW))
        self._seconds_per_row = Lately(STARTING_SECONDS_PER_ROW)
        self._lock = threading.Lock()
        self._empty = threading.Event()
        self._empty.set()

    @property
    def rows(self) -> int:
        """Of all models."""
        with self._lock:
            return sum(queue.rows for queue in self._queues.values())

    @property
    def images(self) -> int:
        """Of all models."""
        with self._lock:
            return sum(queue.images for queue in self._queues.values())

    @property
    def seconds_per_row(self) -> float:
        """Of a forward, whatever model's."""
        return self._seconds_per_row.value

    def enter(self, model: str, rows: int, images: int) -> None:
        """Book new work. Raises QueueFull, RequestTooLarge or Draining, and then books nothing."""
        if rows > self.max_rows:
            raise RequestTooLarge(
                f"a request may take at most {self.max_rows} network rows times steps, "
                f"this one takes {rows}"
            )
        with self._lock:
            if self.draining:
                raise Draining("the server is stopping")
            queue = self._queues.get(model, Queue())
            excess = queue.rows + rows - self.max_rows
            if excess > 0:
                retry_after_s = max(1, math.ceil(self._seconds_for(model, excess)))
                raise QueueFull(
                    f"the queue of {model} holds {queue.rows} of {self.max_rows} network rows, "
                    f"this request takes {rows}; try again in {retry_after_s} s",
                    retry_after_s,
                )
            self._queues[model] = Queue(queue.rows + rows, queue.images + images)
            self._empty.clear()

    def leave(self, model: str, rows: int, images: int = 0) -> None:
        """Strike out work that was done or dropped."""
        with self._lock:
            queue = self._queues[model]
            queue.rows -= rows
            queue.images -= images
            if queue.images == 0:
                del self._queues[model]
            if not self._queues:
                self._empty.set()

    def note_step(self, model: str, rows: int, duration_s: float) -> None:
        """Learn from a step how long network rows take."""
        with self._lock:
            self._seconds_per_row.note(duration_s / rows)
            self._paces[model].note_step(rows, duration_s)

    def note_decoding(self, model: str, duration_s: float) -> None:
        """Learn what the pictures of a model take beside its steps."""
        with self._lock:
            self._paces[model].note_decoding(duration_s)

    def forget_pace(self, model: str) -> None:
        """The model leaves; another one may come by its name."""
        with self._lock:
            self._paces.pop(model, None)

    def close(self) -> None:
        """Refuse new work from now on."""
        with self._lock:
            self.draining = True

    def wait_until_empty(self, timeout_s: float) -> bool:
        return self._empty.wait(timeout_s)

    def _seconds_for(self, model: str, rows: int) -> float:
        """How long so many rows of a model take, beside the other models that have work.

        Models take turns: between two steps of this one lies a step of each of the others.
        """
        busy = {model, *self._queues}
        round_s = sum(self._paces[name].seconds_per_step.value for name in busy)
        return rows / self._paces[model].rows_per_step.value * round_s
