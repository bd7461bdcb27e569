"""The engine: one thread per device, one step at a time.

submit -> inbox -> Scheduler -> StepBatch -> LaneBank.advance -> retire -> decode -> notify

Steps and decodings take turns: after every step a slice of the sampled pictures is decoded.
What time nobody needs goes to background images and to `SpareTimeWork`.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import islice

import torch

from diffusion_core.memory import is_out_of_memory
from diffusion_core.model import LoadedModel

from ..errors import Cancelled, DeadlineMissed, Draining, NotResident, ServiceError
from .failures import diverged, public
from .inbox import Inbox
from .lanes import LaneBank, LaneStep
from .ledger import Ledger
from .observer import EngineObserver, NoObserver
from .requests import ImageDone, ImageLost, ImageRequest, Pixels, StepDone
from .scheduler import Scheduler, StepBatch
from .spare_time import NothingToDo, SpareTimeWork
from .stats import EngineStats
from .submission import ImageLane, Notify, Submission, image_lanes, slot_of
from .warm_up import best_row_count, forward_zeros, timed_forward

logger = logging.getLogger(__name__)


class Engine:
    """Keeps models resident and advances all their lanes, one forward after another."""

    def __init__(
        self,
        queue_rows: int,  # bound of network rows times remaining steps
        max_rows: int | None = None,  # network rows of a forward; measured where not given
        observer: EngineObserver | None = None,
        num_threads: int | None = None,  # CPU cores of a forward; default: torch's choice
        spare_time: SpareTimeWork | None = None,
    ):
        self._observer = observer or NoObserver()
        self._spare_time = spare_time or NothingToDo()
        self._max_rows = max_rows
        self._num_threads = num_threads
        self._banks: dict[str, LaneBank] = {}
        self._scheduler = Scheduler({}, {})
        self._undecoded: deque[ImageLane] = deque()
        self._leaving: dict[str, Future[None]] = {}  # models whose images are finished first
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._inbox = Inbox(self._thread)
        self._ledger = Ledger(queue_rows)
        self._stopped = False
        self._steps = 0
        self._network_evaluations = 0
        self._last_step_at: float | None = None
        self._background_lanes = 0  # that have a slot

    # From other threads

    def start(self) -> None:
        """Start the thread; it has nothing to do before a model is loaded."""
        self._thread.start()

    def load(self, model: LoadedModel) -> None:
        """Make a model resident, once its best row count is known.

        Waits; the images of other models go on between the forwards of the measurement.
        Raises ModelTooLarge where a forward has no room, what else a forward raises, and Draining.
        """
        row_limit = self._max_rows or best_row_count(model, self._time_forward)
        self._inbox.ask(lambda: self._seat(model, row_limit))
        logger.info("%s: at most %d network rows a forward", model.card.name, row_limit)

    def unload(self, name: str) -> None:
        """Take no more images of a model, finish those under way, and let its memory go.

        Waits for that. Raises Draining.
        """
        left = self._inbox.ask(lambda: self._dismiss(name))
        self._inbox.wait(left)

    def submit(self, images: Sequence[ImageRequest], notify: Notify) -> Submission:
        """Queue images; `notify` is called on the engine thread with what becomes of them.

        Raises QueueFull, RequestTooLarge or Draining.
        """
        self._ledger.enter(sum(image.cost for image in images), len(images))
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
        used = sum(bank.num_used for bank in list(self._banks.values()))
        running = max(0, used - self._background_lanes)
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

    def oldest_wait_s(self) -> float:
        """How long the image before its first step has waited that came first; 0 where none is."""
        came = [
            lane.submitted_at
            for lane in image_lanes(self._scheduler.lanes)
            if lane.slot is None and not lane.background
        ]
        return time.monotonic() - min(came) if came else 0.0

    def _time_forward(self, model: LoadedModel, rows: int) -> float:
        """Measured on the engine thread: another one would have other threads to compute with."""
        return self._inbox.ask(lambda: timed_forward(model, rows))

    # On the engine thread

    def _run(self) -> None:
        if self._num_threads is not None:
            torch.set_num_threads(self._num_threads)
        with torch.inference_mode():
            while not self._stopped:
                self._obey_commands()
                self.step()

    def _seat(self, model: LoadedModel, row_limit: int) -> None:
        name = model.card.name
        self._banks[name] = LaneBank(model)
        self._scheduler.row_limits[name] = row_limit
        self._scheduler.deterministic_rows[name] = model.card.deterministic_rows

    def _dismiss(self, name: str) -> Future[None]:
        for lane in self._under_way:
            if lane.background and lane.model == name:
                self._lose(lane, Cancelled("the model leaves"))
        return self._leaving.setdefault(name, Future())

    def _part(self) -> None:
        """Let go of the models that leave and have no image under way."""
        busy = {lane.model for lane in (*self._scheduler.lanes, *self._undecoded)}
        for name in self._leaving.keys() - busy:
            self._banks.pop(name, None)
            self._scheduler.row_limits.pop(name, None)
            self._scheduler.deterministic_rows.pop(name, None)
            self._leaving.pop(name).set_result(None)

    def _obey_commands(self) -> None:
        """Take what is in the inbox; with nothing else to do, wait for it."""
        if not len(self._scheduler) and not self._undecoded:
            while self._inbox.is_empty and self._spare_time.when_idle():
                pass
            self._inbox.obey_next()
        self._inbox.obey_all()

    def step(self) -> None:
        """Advance every scheduled lane by one network evaluation, and decode some that are done."""
        started = time.monotonic()
        self._lose_expired()
        batch = self._scheduler.schedule()
        if batch is not None:
            self._try(batch)
        self._decode()
        if self._leaving:
            self._part()
        if batch is not None:
            background = batch.lanes[0].background
            self._spare_time.after_step(time.monotonic() - started, background)

    def _try(self, batch: StepBatch) -> None:
        try:
            self._advance(batch)
        except Exception as error:  # one bad batch must not end the thread that serves all others
            self._shed(batch, error)
            return
        now = time.monotonic()
        for lane in image_lanes(self._scheduler.retire(batch)):
            lane.sampled_at = now
            self._undecoded.append(lane)

    def _advance(self, batch: StepBatch) -> None:
        bank = self._banks[batch.model]
        started = time.monotonic()
        lanes = image_lanes(batch.lanes)
        for lane in lanes:
            if lane.slot is None:
                lane.slot = bank.admit(lane.request)
                lane.started_at = started
                self._background_lanes += lane.background
        steps = [LaneStep(slot_of(lane), lane.request, lane.step) for lane in lanes]
        previews = bank.advance(steps, batch.pad_to)
        self._account(batch, time.monotonic() - started)
        for lane, preview in zip(lanes, previews, strict=True):
            if lane.request.report:
                lane.notify(StepDone(lane.index, lane.step + 1, lane.steps, preview))

    def _account(self, batch: StepBatch, duration_s: float) -> None:
        self._last_step_at = time.monotonic()
        if batch.lanes[0].background:  # then all are
            return
        self._steps += 1
        self._network_evaluations += len(batch.lanes)
        self._ledger.measure(batch.rows, duration_s)
        self._ledger.leave(batch.rows)
        self._observer.on_step(batch.model, batch.rows, duration_s)

    def _decode(self) -> None:
        """A slice of what is sampled; so long, and no longer, the next step has to wait."""
        ready = [lane for lane in self._undecoded if not lane.background]
        if not ready and not self._scheduler.is_awaited:
            ready = list(self._undecoded)
        if not ready:
            return
        bank = self._banks[ready[0].model]
        peers = (lane for lane in ready if lane.model == bank.model.card.name)
        lanes = list(islice(peers, bank.model.decoder.images_at_once))
        for lane in lanes:
            self._undecoded.remove(lane)
        self._finish(bank, lanes)

    def _decoded(self, bank: LaneBank, lanes: Sequence[ImageLane]) -> list[Pixels | None]:
        """Either all of the lanes are in the background, or none. Raises what decoding raises."""
        started = time.monotonic()
        try:
            return bank.finish([slot_of(lane) for lane in lanes])
        finally:
            if not lanes[0].background:
                self._observer.on_decode(lanes[0].model, time.monotonic() - started)

    def _finish(self, bank: LaneBank, lanes: Sequence[ImageLane]) -> None:
        """Decode lanes that are done, and hand the pictures out."""
        try:
            pictures = self._decoded(bank, lanes)
        except Exception as error:  # whatever it is, it must not end the engine's thread
            if is_out_of_memory(error) and len(lanes) > 1:
                half = len(lanes) // 2
                self._finish(bank, lanes[:half])
                self._finish(bank, lanes[half:])
                return
            logger.exception("%d images of %s were not decoded", len(lanes), lanes[0].model)
            for lane in lanes:
                self._release(lane)
                lane.notify(ImageLost(lane.index, public(error)))
            return
        now = time.monotonic()
        for lane, pixels in zip(lanes, pictures, strict=True):
            self._release(lane)
            if pixels is None:
                loss = diverged(lane.request)
                # For the log, too: where it happens to every image, the model is broken.
                logger.warning("%s: %s", lane.model, loss)
                lane.notify(ImageLost(lane.index, loss))
                continue
            queue_s = lane.started_at - lane.submitted_at
            sampling_s = lane.sampled_at - lane.started_at
            if not lane.background:
                self._observer.on_image(lane.model, queue_s, sampling_s, lane.steps)
            self._spare_time.see(lane.request, pixels, lane.submitted_at, lane.background)
            lane.notify(ImageDone(lane.index, pixels, queue_s, sampling_s, now - lane.sampled_at))

    def _admit(self, lanes: Sequence[ImageLane]) -> None:
        for lane in lanes:
            if lane.model in self._banks and lane.model not in self._leaving:
                self._scheduler.add(lane)
            else:
                self._give_up(lane, NotResident(f"the model {lane.model} was unloaded meanwhile"))

    @property
    def _under_way(self) -> list[ImageLane]:
        return [*image_lanes(self._scheduler.lanes), *self._undecoded]

    def _lose_expired(self) -> None:
        now = time.monotonic()
        late = [lane for lane in self._undecoded if lane.is_late(now)]
        for lane in [*image_lanes(self._scheduler.expired(now)), *late]:
            self._lose(lane, DeadlineMissed(f"the deadline passed at step {lane.step}"))

    def _lose_submission(self, submission: Submission) -> None:
        for lane in self._under_way:
            if lane.submission is submission:
                self._lose(lane, Cancelled("cancelled"))

    def _lose(self, lane: ImageLane, error: ServiceError) -> None:
        """Take a lane out, of those that step or of those that wait to be decoded."""
        if lane in self._undecoded:
            self._undecoded.remove(lane)
        else:
            self._scheduler.remove(lane)
        self._give_up(lane, error)

    def _give_up(self, lane: ImageLane, error: ServiceError) -> None:
        self._release(lane, lane.remaining_cost)
        lane.notify(ImageLost(lane.index, error))

    def _release(self, lane: ImageLane, cost: int = 0) -> None:
        if lane.slot is not None:
            self._banks[lane.model].release(lane.slot)
            lane.slot = None
            self._background_lanes -= lane.background
        if not lane.background:
            self._ledger.leave(cost, images=1)

    def _shed(self, batch: StepBatch, error: Exception) -> None:
        """A step failed. Lose the newest half where memory ran out, else the whole batch."""
        lanes = sorted(image_lanes(batch.lanes), key=lambda lane: lane.submitted_at)
        if is_out_of_memory(error):
            limit = self._scheduler.halve_row_limit(batch.model)
            logger.error("out of memory at %d rows of %s; now %d", batch.rows, batch.model, limit)
            lanes = lanes[len(lanes) // 2 :]
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        else:
            logger.error("a step of %s failed", batch.model, exc_info=error)
        for lane in lanes:
            self._lose(lane, public(error))

    def _probe(self, done: threading.Event) -> None:
        try:
            banks = self._banks.values()
            smallest = min(banks, key=lambda bank: bank.model.num_bytes, default=None)
            if smallest is not None:
                forward_zeros(smallest.model, rows=1)
        except Exception:  # a failing probe is an answer, not the end of the engine
            logger.exception("the probe forward failed")
        else:
            done.set()

    def _halt(self) -> None:
        for lane in self._under_way:
            self._lose(lane, Draining("the server stopped before this image was done"))
        self._stopped = True
