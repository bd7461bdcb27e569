"""How far a job is, over all its step counts and stages."""

import time
from collections.abc import Callable, Sequence

from .control import Control
from .search import Step
from .spec import Progress

# Rough shares of the time that a step count takes; they depend on budget, steps and machine.
TEACHER, SEARCH = 0.12, 0.63  # the rest is the evaluation


class Reporter:
    """Turns what the parts of a job tell into one progress."""

    def __init__(
        self,
        control: Control,
        steps: Sequence[int],
        clock: Callable[[], float] = time.monotonic,
        furthest: float = 0.0,
    ):
        """furthest: the fraction that an earlier run of the job has come to."""
        self._control = control
        self._left = {count: float(count) for count in steps}  # time grows with the step count
        self._total = sum(self._left.values())
        self._clock = clock
        self._began: tuple[float, float] | None = None  # when, and at which fraction
        # Never falls, though an evaluation has several parts, and a job that goes on begins anew.
        self._fraction = furthest
        self._last: dict[int, Progress] = {}

    def teaching(self, steps: int, done: int, of: int) -> None:
        """done, of: network evaluations, which are a part of the budget."""
        progress = Progress(steps=steps, stage="teacher", evaluations=done)
        self._report(progress, TEACHER * done / of)

    def searching(self, steps: int, step: Step) -> None:
        progress = Progress(
            steps=steps,
            stage="search",
            iteration=step.iteration,
            evaluations=step.evaluations,
            loss=step.loss,
            best_loss=step.best_loss,
            candidate=step.table.as_dict(),
        )
        self._last[steps] = progress
        self._report(progress, TEACHER + SEARCH * step.iteration / step.iterations)

    def evaluating(self, steps: int, done: int, of: int) -> None:
        progress = self._last.get(steps, Progress(steps=steps))
        share = 1.0 - TEACHER - SEARCH
        self._report(
            progress.model_copy(update={"stage": "evaluation"}),
            TEACHER + SEARCH + share * done / max(1, of),
        )

    def finished(self, steps: int) -> None:
        self._left[steps] = 0.0

    def _report(self, progress: Progress, of_step: float) -> None:
        assert progress.steps is not None
        left = sum(self._left.values()) - self._left[progress.steps] * of_step
        fraction = self._fraction = min(1.0, max(self._fraction, 1.0 - left / self._total))
        now = self._clock()
        if self._began is None:
            self._began = (now, fraction)
        update = {"fraction": fraction, "eta_s": self._eta(now, fraction)}
        self._control.report(progress.model_copy(update=update))

    def _eta(self, now: float, fraction: float) -> float | None:
        """By the pace of this process; none before there is one."""
        assert self._began is not None
        began_at, began_with = self._began
        gained = fraction - began_with
        return (1.0 - fraction) * (now - began_at) / gained if gained > 0 else None
