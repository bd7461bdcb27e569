"""What the engine's thread does: one step at a time, and a slice of decoding after it.

Scheduler -> StepBatch -> LaneBank.advance -> retire -> Decoding -> notify

What time nobody needs goes to background images and to `SpareTimeWork`.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

import torch

from diffusion_core.model import LoadedModel

from ..errors import Cancelled, DeadlineMissed, Draining, NotResident, OutOfMemory, ServiceError
from .decoding import Decoding
from .device_health import DeviceHealth
from .failures import attempted
from .inbox import Inbox
from .lanes import LaneBank, LaneStep
from .ledger import Ledger
from .observer import EngineObserver
from .pulse import Pulse, Work
from .requests import ImageDone, ImageLost, Pixels, StepDone
from .scheduler import Scheduler, StepBatch
from .shortage import Shortage
from .spare_time import SpareTimeWork
from .submission import ImageLane, Submission, image_lanes, slot_of
from .warm_up import forward_zeros

logger = logging.getLogger(__name__)


class EngineLoop:
    """Resident models and all their lanes. Other threads only read what is public here."""

    def __init__(
        self, inbox: Inbox, ledger: Ledger, observer: EngineObserver, spare_time: SpareTimeWork
    ):
        self._inbox = inbox
        self._ledger = ledger
        self._observer = observer
        self._spare_time = spare_time
        self.banks: dict[str, LaneBank] = {}
        self.health = DeviceHealth()
        self.scheduler = Scheduler()
        self.background_lanes = 0  # that have a slot
        self.steps = 0
        self.network_evaluations = 0
        self.pulse = Pulse()
        self._decoding = Decoding(self.banks, self.pulse, ledger, observer)
        self._shortage = Shortage(self.banks, self.pulse, self.scheduler)
        self._probed: str | None = None  # the model that is quickest to probe
        self._leaving: dict[str, Future[None]] = {}  # models whose images are finished first
        self._stopped = False

    def run(self, num_threads: int | None) -> None:
        """Until `halt`; num_threads: CPU cores of a forward."""
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        with torch.inference_mode():
            while not self._stopped:
                self._obey_commands()
                self.step()

    # Commands: they come through the inbox

    def seat(self, model: LoadedModel, row_limit: int) -> None:
        """Make a model resident."""
        name = model.card.name
        self.banks[name] = LaneBank(model)
        self.scheduler.seat(name, row_limit, model.card.deterministic_rows)
        self._choose_probed()

    def dismiss(self, name: str) -> Future[None]:
        """Take no more images of a model; what is returned is done when the last one is."""
        for lane in self._under_way:
            if lane.background and lane.model == name:
                self._lose(lane, Cancelled("the model leaves"))
        return self._leaving.setdefault(name, Future())

    def admit(self, lanes: Sequence[ImageLane]) -> None:
        """Let images in, where their model is still there and has room for them."""
        for lane in lanes:
            refusal = self._refusal(lane)
            if refusal is None:
                self.scheduler.add(lane)
            else:
                self._give_up(lane, refusal)

    def _refusal(self, lane: ImageLane) -> ServiceError | None:
        if lane.model not in self.banks or lane.model in self._leaving:
            return NotResident(f"the model {lane.model} was unloaded meanwhile")
        return self._shortage.refusal(lane)

    def lose_submission(self, submission: Submission) -> None:
        """What is left of a cancelled one."""
        for lane in self._under_way:
            if lane.submission is submission:
                self._lose(lane, Cancelled("cancelled"))

    def probe(self, done: threading.Event) -> None:
        """Show that a forward of one row still works."""
        try:
            if self._probed is not None:
                with self.pulse.trying(self._probed, Work.FORWARD):
                    forward_zeros(self.banks[self._probed].model, rows=1)
        except Exception:  # a failing probe is an answer, not the end of the engine
            logger.exception("the probe forward failed")
            self.health.examine(self.banks.values())
        else:
            done.set()

    @property
    def probe_patience_s(self) -> float:
        """Other threads may ask."""
        probed = self._probed
        return 0.0 if probed is None else self.pulse.patience_s(probed, Work.FORWARD)

    def _choose_probed(self) -> None:
        sizes = {name: bank.model.num_bytes for name, bank in self.banks.items()}
        self._probed = min(sizes, key=sizes.__getitem__, default=None)

    def halt(self) -> None:
        """End the loop; images under way are lost."""
        for lane in self._under_way:
            self._lose(lane, Draining("the server stopped before this image was done"))
        self._stopped = True

    # One turn

    def _obey_commands(self) -> None:
        """Take what is in the inbox; with nothing else to do, wait for it."""
        if not len(self.scheduler) and not len(self._decoding):
            while self._inbox.is_empty and self._spare_time.when_idle():
                pass
            self._inbox.obey_next()
        self._inbox.obey_all()

    def step(self) -> None:
        """Advance every scheduled lane by one network evaluation, and decode some that are done."""
        started = time.monotonic()
        self._lose_expired()
        batch = self.scheduler.schedule(held=self._decoding.behind(self.scheduler.is_awaited))
        admitted = None if batch is None else self._admitted(batch)
        if admitted is not None:
            self._try(admitted)
        for lane, outcome in self._decoding.decode_slice(self.scheduler.is_awaited):
            self._hand_out(lane, outcome)
        if self._leaving:
            self._part()
        if batch is not None:
            background = batch.lanes[0].background
            self._spare_time.after_step(time.monotonic() - started, background)

    def _part(self) -> None:
        """Let go of the models that leave and have no image under way."""
        busy = {lane.model for lane in self._under_way}
        for name in self._leaving.keys() - busy:
            self.banks.pop(name, None)
            self.scheduler.unseat(name)
            self._decoding.forget(name)
            self._shortage.forget(name)
            self.pulse.forget(name)
            self._choose_probed()
            self._ledger.forget_pace(name)
            self._leaving.pop(name).set_result(None)

    def _try(self, batch: StepBatch) -> None:
        what = f"a step of {batch.model} with {batch.rows} rows"
        failure = attempted(what, partial(self._advance, batch))
        if failure is None:
            self._retire(batch)
            self._shortage.note_good_step(batch)
        else:
            self._shed(batch, failure)

    def _admitted(self, batch: StepBatch) -> StepBatch | None:
        """The batch with a slot for each lane.

        Where there is no memory for one more slot, the lane that needs it is lost, and those behind
        it wait for another turn. It says nothing about rows: no forward has failed.
        """
        bank, lanes = self.banks[batch.model], image_lanes(batch.lanes)
        for lane in lanes:
            if lane.slot is not None:
                continue
            slot = attempted(f"a slot of {batch.model}", partial(bank.admit, lane.request))
            if isinstance(slot, ServiceError):
                self._lose(lane, slot)
                break
            lane.slot, lane.started_at = slot, time.monotonic()
            self.background_lanes += lane.background
        kept = tuple(lane for lane in lanes if lane.slot is not None)
        if len(kept) == len(lanes):
            return batch
        rows = sum(lane.rows for lane in kept)
        return replace(batch, lanes=kept, rows=rows, is_full=False) if kept else None

    def _retire(self, batch: StepBatch) -> None:
        """Count a step that was made; the images that are done wait to be decoded."""
        booked = sum(lane.booked_rows for lane in batch.lanes)
        finished = self.scheduler.retire(batch)
        if not batch.lanes[0].background:  # then none of them is
            left = sum(lane.booked_rows for lane in batch.lanes)
            self._ledger.leave(batch.model, booked - left)
        now = time.monotonic()
        for lane in image_lanes(finished):
            lane.sampled_at = now
            self._decoding.add(lane)

    def _advance(self, batch: StepBatch) -> None:
        started = time.monotonic()
        lanes = image_lanes(batch.lanes)
        steps = [LaneStep(slot_of(lane), lane.request, lane.step) for lane in lanes]
        with self.pulse.working(batch.model, Work.FORWARD):
            previews = self.banks[batch.model].advance(steps, batch.pad_to)
        self._account(batch, time.monotonic() - started)
        for lane, preview in zip(lanes, previews, strict=True):
            if lane.request.report:
                lane.notify(StepDone(lane.index, lane.step + 1, lane.steps, preview))

    def _account(self, batch: StepBatch, duration_s: float) -> None:
        if batch.lanes[0].background:  # then all are
            return
        self.steps += 1
        self.network_evaluations += len(batch.lanes)
        self._ledger.note_step(batch.model, batch.rows, duration_s)
        self._observer.on_step(batch.model, batch.rows, duration_s)

    def _hand_out(self, lane: ImageLane, outcome: Pixels | ServiceError) -> None:
        """The picture, or why there is none."""
        self._release(lane)
        if isinstance(outcome, ServiceError):
            lane.notify(ImageLost(lane.index, outcome))
            return
        queue_s = lane.started_at - lane.submitted_at
        sampling_s = lane.sampled_at - lane.started_at
        decode_s = time.monotonic() - lane.sampled_at
        if not lane.background:
            self._observer.on_image(lane.model, queue_s, sampling_s, lane.steps)
        self._spare_time.see(lane.request, outcome, lane.submitted_at, lane.background)
        lane.notify(ImageDone(lane.index, outcome, queue_s, sampling_s, decode_s))

    @property
    def _under_way(self) -> list[ImageLane]:
        return [*image_lanes(self.scheduler.lanes), *self._decoding]

    def _lose_expired(self) -> None:
        now = time.monotonic()
        undecoded = [lane for lane in self._decoding if lane.is_late(now)]
        for lane in [*image_lanes(self.scheduler.expired(now)), *undecoded]:
            self._lose(lane, DeadlineMissed(f"the deadline passed at step {lane.step}"))

    def _lose(self, lane: ImageLane, error: ServiceError) -> None:
        """Take a lane out, of those that step or of those that wait to be decoded."""
        if lane in self._decoding:
            self._decoding.remove(lane)
        else:
            self.scheduler.remove(lane)
        self._give_up(lane, error)

    def _give_up(self, lane: ImageLane, error: ServiceError) -> None:
        self._release(lane)
        lane.notify(ImageLost(lane.index, error))

    def _release(self, lane: ImageLane) -> None:
        """Its slot and its room in the queue are free."""
        if lane.slot is not None:
            self.banks[lane.model].release(lane.slot)
            lane.slot = None
            self.background_lanes -= lane.background
        if not lane.background:
            self._ledger.leave(lane.model, lane.booked_rows, images=1)

    def _shed(self, batch: StepBatch, failure: ServiceError) -> None:
        """A step failed. Lose the newest half where memory ran out, else the whole batch.

        Or all deterministic lanes of the model, where there is no room for their number of rows.
        """
        lanes = sorted(image_lanes(batch.lanes), key=lambda lane: lane.submitted_at)
        if isinstance(failure, OutOfMemory):
            lasting = self._shortage.conclude(batch)
            if lasting is None:
                lanes = lanes[len(lanes) // 2 :]
            else:
                failure = lasting
                lanes = [lane for lane in self._stepping(batch.model) if lane.deterministic]
        else:
            self.health.examine(self.banks.values())
        for lane in lanes:
            self._lose(lane, failure)

    def _stepping(self, model: str) -> list[ImageLane]:
        return [lane for lane in image_lanes(self.scheduler.lanes) if lane.model == model]
