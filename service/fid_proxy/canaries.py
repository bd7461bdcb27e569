"""Canaries: pictures that idle lanes make, so that there are figures without traffic.

What `auto` takes at the default guidance, at every step count that has a champion; classes at
random, fresh seeds. One picture at a time, so that a request waits for one short step at most.

Nothing runs hot for nothing: canaries take a small share of the time, and fly only while somebody
reads the figures, which is what Prometheus does and a laptop does not.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from diffusion_core.card import ModelCard
from diffusion_core.errors import DiffusionError
from diffusion_core.model import LoadedModel
from diffusion_core.select import SolverSelector
from solver_store.errors import StoreError
from solver_store.records import CHAMPION
from solver_store.store import SolverStore

from ..engine.engine import Engine
from ..engine.requests import EngineEvent, ImageDone, ImageRequest, Watched
from .proxy import MAX_STEPS, FidProxy

logger = logging.getLogger(__name__)

READ_LATELY_S = 300.0  # without a reader for so long, no canary flies
LOOK_S = 1.0  # between two looks whether the engine is idle and somebody reads
PATIENCE_S = 60.0  # for one picture; then the engine has better things to do
MAX_STEP_COUNTS = 8  # of one model: with more, each would have to wait too long for its pictures
FALLBACK_STEPS = 8  # of a model without champions
NUM_SEEDS = 2**32


@dataclass(frozen=True)
class Perch:
    """What a canary is made with, but for class and seed."""

    model: str
    steps: int


class Canaries:
    """A thread that asks for pictures, one by one. It computes nothing itself."""

    def __init__(
        self,
        engine: Engine,
        proxy: FidProxy,
        selector: SolverSelector,
        store: SolverStore,
        resident: Callable[[], Mapping[str, LoadedModel]],
        share: float,  # of the time: 0.05 makes a pause of 19 times as long as a picture took
    ):
        self._engine = engine
        self._proxy = proxy
        self._selector = selector
        self._store = store
        self._resident = resident
        self._share = share
        self._read_at = -READ_LATELY_S
        self._round: Iterator[Perch] = iter(())
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canaries", daemon=True)

    def start(self) -> None:
        if self._share > 0:
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def note_reader(self) -> None:
        """Somebody reads the figures."""
        self._read_at = time.monotonic()

    def _run(self) -> None:
        pause_s = LOOK_S
        while not self._stopping.wait(pause_s):
            try:
                pause_s = self.look()
            except (StoreError, DiffusionError) as error:
                logger.warning("no canary flies: %s", error)
                pause_s = PATIENCE_S

    def look(self) -> float:
        """Make one picture if nobody is in the way. Returns the seconds to the next look."""
        if time.monotonic() - self._read_at > READ_LATELY_S or not self._is_idle:
            return LOOK_S
        perch = next(self._round, None)
        if perch is None:
            self._round = iter(self._perches())
            return LOOK_S
        model = self._resident().get(perch.model)
        if model is None:
            return LOOK_S
        spent_s = self._fly(self._request(model.card, perch.steps))
        return spent_s * (1 - self._share) / self._share

    @property
    def _is_idle(self) -> bool:
        stats = self._engine.stats()
        return stats.queued_rows == 0 and not stats.draining

    def _fly(self, request: ImageRequest) -> float:
        """Returns the seconds until it was back, or it was called back."""
        ended = threading.Event()

        def notify(event: EngineEvent) -> None:
            ended.set()
            if not isinstance(event, ImageDone):
                logger.debug("a canary of %s was lost: %s", request.model, event)

        started = time.monotonic()
        flight = self._engine.submit_background([request], notify)
        while not ended.wait(LOOK_S):
            if self._stopping.is_set() or time.monotonic() - started > PATIENCE_S:
                flight.cancel()
                break
        return time.monotonic() - started

    def _request(self, card: ModelCard, steps: int) -> ImageRequest:
        guidance_scale = card.default_guidance_scale
        solver = self._selector.select("auto", card, steps, guidance_scale)
        return ImageRequest(
            model=card.name,
            program=solver.program,
            class_label=secrets.randbelow(len(card.classes)),
            guidance_scale=guidance_scale,
            seed=secrets.randbelow(NUM_SEEDS),
            watched=Watched(solver.name, solver.digest),
        )

    def _perches(self) -> list[Perch]:
        """One for each step count of each watched model."""
        resident = self._resident()
        cards = [resident[name].card for name in self._proxy.watched_models if name in resident]
        return [Perch(card.name, steps) for card in cards for steps in self._step_counts(card)]

    def _step_counts(self, card: ModelCard) -> list[int]:
        """Those that have a champion at the default guidance."""
        counts = {
            entry.steps
            for entry in self._store.solvers()
            if entry.target is not None
            and entry.target.model == card.name
            and entry.target.guidance_scale == card.default_guidance_scale
            and CHAMPION in entry.aliases
            and entry.steps <= MAX_STEPS
        }
        return sorted(counts)[:MAX_STEP_COUNTS] or [FALLBACK_STEPS]
