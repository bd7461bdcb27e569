"""Pictures become readings, on the engine thread, in slices that are little beside its steps."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice, takewhile

import numpy as np
import torch

from diffusion_core.model import LoadedModel
from diffusion_core.quality import Judge

from ..engine.requests import ImageRequest, Pixels
from .estimate import estimate_in_slices
from .failures import Failures
from .register import Register, Standing
from .samples import Observatory, Reading, Sample, Series, Source
from .window import Window, minimum

logger = logging.getLogger(__name__)

MAX_STEPS = 32  # beyond, step counts share a label, and a mixture of solvers has no quality
MAX_WAITING = 64  # pictures; what comes while so many wait is not judged
IMAGES_AT_ONCE = 4  # that the judge reads in a slice
EVALUATE_EVERY = 64  # pictures of a series
SHARE = 0.005  # of the time that steps take; it costs somewhat more than it takes


class Fate(StrEnum):
    """What became of a picture that could have been judged."""

    JUDGED = "judged"
    DROPPED = "dropped"  # so that nobody waits
    REPEATED = "repeated"  # by the class and seed of one that counts already


class Work(StrEnum):
    """What the engine's time was spent on."""

    CANARY = "canary"
    JUDGING = "judging"  # between steps
    IDLE_JUDGING = "idle_judging"  # when there was nothing else to do


@dataclass(frozen=True)
class Evaluation:
    """Of a series, in slices."""

    observatory: Observatory
    series: Series
    window: Window
    slices: Iterator[None]


class FidProxy:
    """A SpareTimeWork. `watch`, `forget` and the properties may be used from any thread."""

    def __init__(self, share: float = SHARE):
        self.fates: Counter[tuple[str, Source, Fate]] = Counter()
        self.seconds = dict.fromkeys(Work, 0.0)
        self.failures = Failures()
        self._share = share
        self._allowance_s = 0.0
        self._changing = threading.Lock()  # of who is watched
        self._observatories: Mapping[str, Observatory] = {}  # never changed, only replaced
        self._seen_through: Mapping[
            str, Observatory
        ] = {}  # the same, as the engine thread knows it
        self._waiting: dict[Hashable, Sample] = {}  # by picture
        self._register = Register()
        self._evaluation: Evaluation | None = None

    def watch(self, model: LoadedModel, judge: Judge) -> None:
        """From now on, look at the pictures of a model."""
        observatory = Observatory.of(model, judge)
        self.failures.begin(model.card.name)
        with self._changing:
            self._observatories = {**self._observatories, model.card.name: observatory}

    def forget(self, model: str) -> None:
        """It leaves, and may come back with other weights; the engine thread frees what it held."""
        with self._changing:
            self._observatories = {k: v for k, v in self._observatories.items() if k != model}

    @property
    def watched_models(self) -> tuple[str, ...]:
        return tuple(self._observatories)

    @property
    def minimums(self) -> Mapping[str, int]:
        """By watched model: pictures of a series below which it has no reading."""
        return {
            model: minimum(observatory.num_features)
            for model, observatory in self._observatories.items()
        }

    @property
    def standings(self) -> Mapping[Series, Standing]:
        """Of all models that are watched, and not of long ago."""
        return {
            series: standing
            for series, standing in self._register.standings.items()
            if series.model in self._observatories and not standing.is_stale
        }

    # On the engine thread

    def see(
        self, request: ImageRequest, pixels: Pixels, submitted_at: float, background: bool
    ) -> None:
        self._let_go()
        observatory = self._observatories.get(request.model)
        watched, steps = request.watched, request.program.steps
        if observatory is None or watched is None or steps > MAX_STEPS:
            return
        source = Source.CANARY if background else Source.LIVE
        series = Series(request.model, watched.solver, steps, source)
        sample = Sample(
            series=series,
            observatory=observatory,
            table_digest=watched.digest,
            class_label=request.class_label,
            seed=request.seed,
            pixels=pixels,
            submitted_at=submitted_at,
        )
        self._queue(sample)

    def _queue(self, sample: Sample) -> None:
        if sample.picture in self._waiting or self._register.has(sample):
            self._count(sample, Fate.REPEATED)
        elif len(self._waiting) < MAX_WAITING and self._register.ask_for_place(sample.series):
            self._waiting[sample.picture] = sample
        else:
            self._count(sample, Fate.DROPPED)

    def _let_go(self) -> None:
        """Of the pictures and figures of models that have left, or came back meanwhile."""
        now, before = self._observatories, self._seen_through
        if now is before:
            return
        self._seen_through = now
        self._register.keep_only([model for model in now if now[model] is before.get(model)])
        self._waiting = {
            picture: sample
            for picture, sample in self._waiting.items()
            if sample.observatory is now.get(sample.series.model)
        }
        evaluation = self._evaluation
        if evaluation and evaluation.observatory is not now.get(evaluation.series.model):
            self._evaluation = None

    def after_step(self, duration_s: float, background: bool) -> None:
        self._let_go()
        if background:
            self.seconds[Work.CANARY] += duration_s
        if not self._has_work:
            self._allowance_s = min(0.0, self._allowance_s + self._share * duration_s)
            return
        self._allowance_s += self._share * duration_s
        if self._allowance_s >= 0:
            self._allowance_s -= self._slice(Work.JUDGING)

    def when_idle(self) -> bool:
        self._let_go()
        if self._has_work:
            self._slice(Work.IDLE_JUDGING)
        return self._has_work

    @property
    def _has_work(self) -> bool:
        return self._evaluation is not None or bool(self._waiting)

    def _slice(self, work: Work) -> float:
        """Do a little of what there is to do. Returns the seconds that it took."""
        started = time.monotonic()
        if self._evaluation is None:
            self._judge_next()
        else:
            self._go_on_with(self._evaluation)
        spent = time.monotonic() - started
        self.seconds[work] += spent
        return spent

    def _judge_next(self) -> None:
        """The oldest few that wait, of one model."""
        samples = self._next_few()
        model, observatory = samples[0].series.model, samples[0].observatory
        try:
            self._judge(observatory, samples)
        except Exception as error:  # the figures may fail, the pictures must not
            self._give_up(model, observatory, error)
        else:
            self.failures.note_success(model)

    def _go_on_with(self, evaluation: Evaluation) -> None:
        model = evaluation.series.model
        try:
            if next(evaluation.slices, self) is not self:
                return
        except Exception as error:  # as above
            # What an earlier one found would pass for the quality of now.
            self._register.tell(evaluation.series, evaluation.window, None)
            self._give_up(model, evaluation.observatory, error)
        else:
            self.failures.note_success(model)
        self._evaluation = None

    def _give_up(self, model: str, observatory: Observatory, error: Exception) -> None:
        """What was being done; and a model whose pictures nothing can be done with, for good."""
        logger.error("judging the pictures of %s failed", model, exc_info=error)
        if self.failures.note(model) and self._observatories.get(model) is observatory:
            logger.error("the pictures of %s are not judged until it is loaded again", model)
            self.forget(model)
            self._let_go()

    def _judge(self, observatory: Observatory, samples: list[Sample]) -> None:
        for sample, features in zip(samples, _features(observatory, samples), strict=True):
            window = self._register.add(sample, features)
            self._count(sample, Fate.DROPPED if window is None else Fate.JUDGED)
            if window is not None and window.num_new >= EVALUATE_EVERY and not self._evaluation:
                window.num_new = 0
                slices = self._evaluate(observatory, sample.series, window)
                self._evaluation = Evaluation(observatory, sample.series, window, slices)

    def _next_few(self) -> list[Sample]:
        """Taken from those that wait: seen through the same eyes, at least one."""
        first, *others = islice(self._waiting.values(), IMAGES_AT_ONCE)
        alike = takewhile(lambda other: other.observatory is first.observatory, others)
        samples = [first, *alike]
        for sample in samples:
            del self._waiting[sample.picture]
        return samples

    def _evaluate(self, observatory: Observatory, series: Series, window: Window) -> Iterator[None]:
        """In slices; at its end the series has a new reading, or none."""
        reading = None
        if window.is_enough:
            estimate = yield from estimate_in_slices(
                window.features(), window.labels(), window.weights(), observatory.distance
            )
            if estimate.is_finite:
                reading = Reading(estimate.without_bias, estimate.margin)
        self._register.tell(series, window, reading)

    def _count(self, sample: Sample, fate: Fate) -> None:
        self.fates[sample.series.model, sample.series.source, fate] += 1


def _features(observatory: Observatory, samples: list[Sample]) -> torch.Tensor:
    """(B, D) float32 on the host."""
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))  # (B, H, W, 3)
    images = pixels.to(observatory.device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return observatory.judge.features(images).float().cpu()
