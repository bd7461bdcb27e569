"""The engine: one thread per device, one step at a time.

submit -> inbox -> Scheduler -> StepBatch -> LaneBank.advance -> retire -> finish -> notify
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import torch

from diffusion_core.model import LoadedModel

from ..errors import (
    Cancelled,
    DeadlineMissed,
    Draining,
    EngineFault,
    ImageFailed,
    OutOfMemory,
    ServiceError,
)
from .lanes import LaneBank, LaneStep
from .ledger import Ledger
from .observer import EngineObserver, NoObserver
from .requests import EngineEvent, ImageDone, ImageLost, ImageRequest, StepDone
from .scheduler import Lane, Scheduler, StepBatch
from .warm_up import best_row_count, forward_zeros

logger = logging.getLogger(__name__)

Notify = Callable[[EngineEvent], None]
Command = Callable[[], None]


@dataclass(eq=False)
class ImageLane(Lane):
    """A lane with its request, its place in the bank, and whom to tell."""

    request: ImageRequest = field(kw_only=True)
    submission: "Submission" = field(kw_only=True)
    index: int = field(kw_only=True)  # of the image in its submission
    submitted_at: float = field(kw_only=True)
    started_at: float = field(default=0.0, init=False)
    slot: int | None = field(default=None, init=False)  # none before the first step

    def notify(self, event: EngineEvent) -> None:
        self.submission.notify(event)


@dataclass(frozen=True)
class EngineStats:
    """What the engine looks like from outside, at one moment."""

    queued_rows: int  # network rows times remaining steps, of all images
    lanes: int  # images between their first and last step
    waiting: int  # images before their first step
    row_limits: dict[str, int]
    seconds_per_row: float
    steps: int
    network_evaluations: int
    last_step_at: float | None  # time.monotonic()
    draining: bool


class Submission:
    """Images submitted together."""

    def __init__(self, engine: "Engine", notify: Notify):
        self.notify = notify
        self.cancelled = False
        self._engine = engine

    def cancel(self) -> None:
        """Give up what is not finished; its lanes are free at the next step. Thread-safe."""
        if not self.cancelled:
            self.cancelled = True
            self._engine.forget(self)


class Engine:
    """Keeps models resident and advances all their lanes, one forward after another."""

    def __init__(
        self,
        models: Sequence[LoadedModel],
        row_limits: Mapping[str, int],  # network rows of a forward; measured where not given
        queue_rows: int,  # bound of network rows times remaining steps
        observer: EngineObserver | None = None,
        num_threads: int | None = None,  # CPU cores of a forward; default: torch's choice
    ):
        self.models = {model.card.name: model for model in models}
        self._observer = observer or NoObserver()
        self._banks = {name: LaneBank(model) for name, model in self.models.items()}
        self._scheduler = Scheduler(
            dict(row_limits),
            {name: model.card.deterministic_rows for name, model in self.models.items()},
        )
        self._inbox: SimpleQueue[Command] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._num_threads = num_threads
        self._ready: Future[None] = Future()
        self._ledger = Ledger(queue_rows)
        self._stopped = False
        self._steps = 0
        self._network_evaluations = 0
        self._last_step_at: float | None = None

    # From other threads

    def start(self) -> None:
        """Start the thread and wait until it has warmed up. Raises what a first forward raises."""
        self._thread.start()
        self._ready.result()

    def submit(self, images: Sequence[ImageRequest], notify: Notify) -> Submission:
        """Queue images; `notify` is called on the engine thread with what becomes of them.

        Raises QueueFull, RequestTooLarge or Draining.
        """
        self._ledger.enter(sum(image.cost for image in images), len(images))
        submission = Submission(self, notify)
        now = time.monotonic()
        lanes = [
            ImageLane(
                model=image.model,
                steps=image.program.steps,
                rows=image.rows,
                deterministic=image.deterministic,
                deadline_at=image.deadline_at,
                request=image,
                submission=submission,
                index=index,
                submitted_at=now,
            )
            for index, image in enumerate(images)
        ]
        self._inbox.put(lambda: self._admit(lanes))
        return submission

    def forget(self, submission: Submission) -> None:
        """Drop the lanes of a cancelled submission at the next step."""
        self._inbox.put(lambda: self._lose_submission(submission))

    def probe(self, timeout_s: float) -> bool:
        """Whether the engine thread finishes a forward of one row in time."""
        done = threading.Event()
        self._inbox.put(lambda: self._probe(done))
        return done.wait(timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Refuse new images and wait for those under way. Returns whether all were finished."""
        self._ledger.close()
        return self._ledger.wait_until_empty(timeout_s)

    def stop(self) -> None:
        """End the engine thread; images still under way are lost."""
        self._ledger.close()
        self._inbox.put(self._halt)
        if self._thread.is_alive():
            self._thread.join()

    def stats(self) -> EngineStats:
        running = sum(bank.num_used for bank in self._banks.values())
        return EngineStats(
            queued_rows=self._ledger.rows,
            lanes=running,
            waiting=max(0, self._ledger.images - running),
            row_limits=dict(self._scheduler.row_limits),
            seconds_per_row=self._ledger.seconds_per_row,
            steps=self._steps,
            network_evaluations=self._network_evaluations,
            last_step_at=self._last_step_at,
            draining=self._ledger.draining,
        )

    # On the engine thread

    def _run(self) -> None:
        if self._num_threads is not None:
            torch.set_num_threads(self._num_threads)
        try:
            self._warm_up()
        except BaseException as error:  # not ours to judge: `start` raises it
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        with torch.inference_mode():
            while not self._stopped:
                self._obey_commands()
                self.step()

    def _warm_up(self) -> None:
        """Measured on this thread: another one would have other threads to compute with."""
        limits = self._scheduler.row_limits
        for name, model in self.models.items():
            if name not in limits:
                limits[name] = best_row_count(model)

    def _obey_commands(self) -> None:
        """Take what is in the inbox; with nothing else to do, wait for it."""
        if not len(self._scheduler):
            self._inbox.get()()
        while not self._inbox.empty():
            try:
                command = self._inbox.get_nowait()
            except Empty:
                return
            command()

    def step(self) -> None:
        """Advance every scheduled lane by one network evaluation."""
        self._lose_expired()
        batch = self._scheduler.schedule()
        if batch is None:
            return
        try:
            self._advance(batch)
        except Exception as error:  # one bad batch must not end the thread that serves all others
            self._shed(batch, error)
            return
        finished = _image_lanes(self._scheduler.retire(batch))
        if finished:
            self._finish(self._banks[batch.model], finished, time.monotonic())

    def _advance(self, batch: StepBatch) -> None:
        bank = self._banks[batch.model]
        started = time.monotonic()
        lanes = _image_lanes(batch.lanes)
        for lane in lanes:
            if lane.slot is None:
                lane.slot = bank.admit(lane.request)
                lane.started_at = started
        steps = [LaneStep(_slot(lane), lane.request, lane.step) for lane in lanes]
        previews = bank.advance(steps, batch.pad_to)
        self._account(batch, time.monotonic() - started)
        for lane, preview in zip(lanes, previews, strict=True):
            if lane.request.report:
                lane.notify(StepDone(lane.index, lane.step + 1, lane.steps, preview))

    def _account(self, batch: StepBatch, duration_s: float) -> None:
        self._steps += 1
        self._network_evaluations += len(batch.lanes)
        self._last_step_at = time.monotonic()
        self._ledger.measure(batch.rows, duration_s)
        self._ledger.leave(batch.rows)
        self._observer.on_step(batch.model, batch.rows, duration_s)

    def _finish(self, bank: LaneBank, lanes: Sequence[ImageLane], sampled_at: float) -> None:
        """Decode lanes that are done, and hand the pictures out."""
        try:
            pictures = bank.finish([_slot(lane) for lane in lanes])
        except Exception as error:
            if is_out_of_memory(error) and len(lanes) > 1:
                half = len(lanes) // 2
                self._finish(bank, lanes[:half], sampled_at)
                self._finish(bank, lanes[half:], sampled_at)
                return
            logger.exception("%d images of %s were not decoded", len(lanes), lanes[0].model)
            for lane in lanes:
                self._release(lane)
                lane.notify(ImageLost(lane.index, _public(error)))
            return
        decode_s = time.monotonic() - sampled_at
        for lane, pixels in zip(lanes, pictures, strict=True):
            self._release(lane)
            if pixels is None:
                _tell_diverged(lane)
                continue
            queue_s, sampling_s = lane.started_at - lane.submitted_at, sampled_at - lane.started_at
            self._observer.on_image(lane.model, queue_s, sampling_s, lane.steps)
            lane.notify(ImageDone(lane.index, pixels, queue_s, sampling_s, decode_s))

    def _admit(self, lanes: Sequence[ImageLane]) -> None:
        for lane in lanes:
            self._scheduler.add(lane)

    def _lose_expired(self) -> None:
        for lane in _image_lanes(self._scheduler.expired(time.monotonic())):
            self._lose(lane, DeadlineMissed(f"the deadline passed at step {lane.step}"))

    def _lose_submission(self, submission: Submission) -> None:
        for lane in _image_lanes(self._scheduler.lanes):
            if lane.submission is submission:
                self._lose(lane, Cancelled("cancelled"))

    def _lose(self, lane: ImageLane, error: ServiceError) -> None:
        """Take an unfinished lane out."""
        self._scheduler.remove(lane)
        cost = lane.remaining_cost
        self._release(lane, cost)
        lane.notify(ImageLost(lane.index, error))

    def _release(self, lane: ImageLane, cost: int = 0) -> None:
        if lane.slot is not None:
            self._banks[lane.model].release(lane.slot)
            lane.slot = None
        self._ledger.leave(cost, images=1)

    def _shed(self, batch: StepBatch, error: Exception) -> None:
        """A step failed. Lose the newest half where memory ran out, else the whole batch."""
        lanes = sorted(_image_lanes(batch.lanes), key=lambda lane: lane.submitted_at)
        if is_out_of_memory(error):
            limit = self._scheduler.halve_row_limit(batch.model)
            logger.error("out of memory at %d rows of %s; now %d", batch.rows, batch.model, limit)
            lanes = lanes[len(lanes) // 2 :]
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        else:
            logger.error("a step of %s failed", batch.model, exc_info=error)
        for lane in lanes:
            self._lose(lane, _public(error))

    def _probe(self, done: threading.Event) -> None:
        try:
            for model in self.models.values():
                forward_zeros(model, rows=1)
        except Exception:  # a failing probe is an answer, not the end of the engine
            logger.exception("the probe forward failed")
        else:
            done.set()

    def _halt(self) -> None:
        for lane in _image_lanes(self._scheduler.lanes):
            self._lose(lane, Draining("the server stopped before this image was done"))
        self._stopped = True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: CUDA says so by type, the CPU allocator by its text."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _public(error: Exception) -> ServiceError:
    """What the client is told."""
    if is_out_of_memory(error):
        return OutOfMemory("the device ran out of memory; try again later")
    return EngineFault("the engine failed at this image")


def _tell_diverged(lane: ImageLane) -> None:
    image = lane.request
    error = ImageFailed(
        "the values of this image are no longer finite: the sampling diverges with this solver "
        f"({lane.steps} steps, guidance scale {image.guidance_scale:g}, seed {image.seed})"
    )
    # For the log, too: where it happens to every image, the model is broken.
    logger.warning("%s: %s", lane.model, error)
    lane.notify(ImageLost(lane.index, error))


def _image_lanes(lanes: Sequence[Lane]) -> list[ImageLane]:
    """The scheduler handles plain lanes; every lane of this engine is an ImageLane."""
    return [lane for lane in lanes if isinstance(lane, ImageLane)]


def _slot(lane: ImageLane) -> int:
    assert lane.slot is not None, "a stepping lane has a slot"
    return lane.slot
