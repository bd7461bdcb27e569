"""The engine as other threads see it: models come and go, images are submitted and asked about.

One thread per device does the work, one step at a time (loop.py); what others want of it goes
through its inbox.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from diffusion_core.model import LoadedModel

from .inbox import Inbox
from .ledger import Ledger
from .loop import EngineLoop
from .observer import EngineObserver, NoObserver
from .pulse import Work
from .requests import ImageRequest
from .spare_time import NothingToDo, SpareTimeWork
from .stats import EngineStats
from .submission import ImageLane, Notify, Submission, image_lanes
from .warm_up import best_row_count, timed_step, working_memory

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Engine:
    """Keeps models resident and advances all their lanes, one forward after another."""

    def __init__(
        self,
        queue_rows: int,  # bound of network rows times remaining steps, of each model
        max_rows: int | None = None,  # network rows of a forward; measured where not given
        observer: EngineObserver | None = None,
        num_threads: int | None = None,  # CPU cores of a forward; default: torch's choice
        spare_time: SpareTimeWork | None = None,
    ):
        self._max_rows = max_rows
        self._num_threads = num_threads
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._inbox = Inbox(self._thread)
        self._ledger = Ledger(queue_rows)
        self._working_memory: dict[str, int] = {}  # bytes, by resident model
        self._loop = EngineLoop(
            self._inbox, self._ledger, observer or NoObserver(), spare_time or NothingToDo()
        )

    def start(self) -> None:
        """Start the thread; it has nothing to do before a model is loaded."""
        self._thread.start()

    def load(self, model: LoadedModel) -> None:
        """Make a model resident, once its best row count is known, and what memory that takes.

        Waits; the images of other models go on between the forwards of the measurement.
        Raises ModelTooLarge where a forward has no room, what else a forward raises, and Draining.
        """
        row_limit = self._max_rows or best_row_count(model, self._time_step)
        self._working_memory[model.card.name] = self._inbox.ask(
            lambda: working_memory(model, row_limit)
        )
        self._inbox.ask(lambda: self._loop.seat(model, row_limit))
        logger.info("%s: at most %d network rows a forward", model.card.name, row_limit)

    def unload(self, name: str) -> None:
        """Take no more images of a model, finish those under way, and let its memory go.

        Waits for that. Raises Draining.
        """
        left = self._inbox.ask(lambda: self._loop.dismiss(name))
        self._inbox.wait(left)
        self._working_memory.pop(name, None)

    @property
    def working_memory(self) -> int:
        """Bytes that a step takes while it lasts, of the resident model that takes most."""
        return max(self._working_memory.values(), default=0)

    @property
    def device_fault(self) -> str | None:
        """What is wrong with the device, where only a new process can use it again."""
        return self._loop.health.fault

    def between_steps(self, question: Callable[[], T]) -> T:
        """What it answers while nothing is computed. Raises what it raises, and Draining."""
        return self._inbox.ask(question)

    def submit(self, images: Sequence[ImageRequest], notify: Notify) -> Submission:
        """Queue images, all of one model; the engine thread tells `notify` what becomes of them.

        Raises QueueFull, RequestTooLarge or Draining.
        """
        models = {image.model for image in images}
        assert len(models) <= 1, "images of several models have no queue in common"
        for model in models:
            self._ledger.enter(model, sum(image.cost for image in images), len(images))
        return self._submit(images, notify, background=False)

    def submit_background(self, images: Sequence[ImageRequest], notify: Notify) -> Submission:
        """Make images that nobody waits for, while there are no others.

        They take no room in the queue and hold up no drain; stopping the engine loses them.
        """
        return self._submit(images, notify, background=True)

    def _submit(
        self, images: Sequence[ImageRequest], notify: Notify, background: bool
    ) -> Submission:
        submission = Submission(notify, self.forget)
        now = time.monotonic()
        lanes = [
            ImageLane(
                model=image.model,
                steps=image.program.steps,
                rows=image.rows,
                deterministic=image.deterministic,
                deadline_at=image.deadline_at,
                background=background,
                request=image,
                submission=submission,
                index=index,
                submitted_at=now,
            )
            for index, image in enumerate(images)
        ]
        self._inbox.put(lambda: self._loop.admit(lanes))
        return submission

    def forget(self, submission: Submission) -> None:
        """Drop the lanes of a cancelled submission at the next step."""
        self._inbox.put(lambda: self._loop.lose_submission(submission))

    def probe(self, timeout_s: float) -> bool:
        """Whether the engine thread finishes a forward of one row in time."""
        done = threading.Event()
        self._inbox.put(lambda: self._loop.probe(done))
        return done.wait(timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Refuse new images and wait for those under way. Returns whether all were finished."""
        self._ledger.close()
        return self._ledger.wait_until_empty(timeout_s)

    def stop(self) -> None:
        """End the engine thread; images still under way are lost."""
        self._ledger.close()
        self._inbox.put(self._loop.halt)
        if self._thread.is_alive():
            self._thread.join()

    def stats(self) -> EngineStats:
        used = sum(bank.num_used for bank in list(self._loop.banks.values()))
        running = max(0, used - self._loop.background_lanes)
        return EngineStats(
            queued_rows=self._ledger.rows,
            lanes=running,
            waiting=max(0, self._ledger.images - running),
            row_limits=self._loop.scheduler.row_limits,
            seconds_per_row=self._ledger.seconds_per_row,
            steps=self._loop.steps,
            network_evaluations=self._loop.network_evaluations,
            last_progress_at=self._loop.pulse.last_progress_at,
            overdue_at=self._loop.pulse.overdue_at,
            probe_patience_s=self._loop.probe_patience_s,
            draining=self._ledger.draining,
        )

    def oldest_wait_s(self) -> float:
        """How long the image before its first step has waited that came first; 0 where none is."""
        came = [
            lane.submitted_at
            for lane in image_lanes(self._loop.scheduler.lanes)
            if lane.slot is None and not lane.background
        ]
        return time.monotonic() - min(came) if came else 0.0

    def _time_step(self, model: LoadedModel, rows: int) -> float:
        """Measured on the engine thread: another one would have other threads to compute with."""

        def measured_s() -> float:
            with self._loop.pulse.working(model.card.name, Work.FORWARD):
                return timed_step(model, rows)

        return self._inbox.ask(measured_s)

    def _run(self) -> None:
        self._loop.run(self._num_threads)
