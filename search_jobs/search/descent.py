"""The descent: gradient steps through the sampling loop until the budget is spent.

Same problem, recipe, budget and seed: same table, to the last digit, on the same machine and
number of threads, however often it was interrupted.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from diffusion_core.checkpoint import load_checkpoint, save_checkpoint
from diffusion_core.coefficients import Coefficients
from solver_store.table import SolverTable

from ..errors import SearchDiverged, SearchRefused
from .activations import rematerialised
from .objectives import Objective
from .recipe import Recipe
from .space import Space

SAVE_EVERY_S = 5.0
SMOOTHING = 0.05  # of the loss that is shown


@dataclass
class State:
    """What a resumed search must know beside its tensors."""

    start: str  # what the descent began with
    iteration: int = 0
    loss: float | None = None  # smoothed
    best_loss: float | None = None
    first_loss: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """What is told after every iteration."""

    iteration: int
    iterations: int
    evaluations: int
    loss: float
    best_loss: float
    table: SolverTable  # what would be kept if it ended now


@dataclass(frozen=True)
class Descended:
    """The end of a descent."""

    table: SolverTable
    start: str
    loss: float  # smoothed
    first_loss: float
    iterations: int
    evaluations: int  # network evaluations, as budgets count them
    losses: tuple[float, ...]  # of every iteration since this process took over
    seconds: float


Watch = Callable[[Step], bool]  # returns whether to stop and keep what there is


class Descent:
    """One table's way down."""

    def __init__(
        self,
        space: Space,
        objective: Objective,
        recipe: Recipe,
        budget: int,
        *,
        start: str,
        spent: int = 0,  # network evaluations for choosing the start
        checkpoint: Path | None = None,
    ):
        self.space = space
        self.objective = objective
        self._shard = objective.batches.shard
        self.recipe = recipe
        self._steps = _steps(space)
        self._spent = spent + objective.upfront_cost(self._steps)
        self._cost = iteration_cost(objective, recipe, self._steps)
        self.iterations = (budget - self._spent) // self._cost
        if self.iterations < 1:
            raise SearchRefused(
                f"a search of {self._steps} steps takes at least {self._spent + self._cost} "
                f"network evaluations, the budget is {budget}"
            )
        self._average = copy.deepcopy(space)
        self._optimizer = recipe.optimizer(space)
        self._checkpoint = checkpoint
        self._state = State(start)
        self._losses: list[float] = []
        problem = objective.problem
        self._network = problem.network
        if recipe.rematerialise:
            self._network = rematerialised(problem.network, problem.rows_in_part)
        self._is_begun = self._restore()

    def run(self, watch: Watch = lambda step: False) -> Descended:
        """Descend until the budget is spent or `watch` says stop.

        Raises SearchDiverged where the loss is no longer finite; the checkpoint is the last good
        one. Raises OSError where that cannot be written.
        """
        if not self._is_begun:
            self.objective.prepare(self.space.coefficients())
            self._save()
            self._is_begun = True
        saved_at = time.monotonic()
        while self._state.iteration < self.iterations:
            step = self._advance()
            if time.monotonic() - saved_at > SAVE_EVERY_S:
                self._save()
                saved_at = time.monotonic()
            # One process is asked, so that all stop at the same iteration.
            if self._shard.of_first(watch, step):
                break
        self._save()
        return self._descended()

    def best(self) -> SolverTable:
        """The table to keep, as it stands: of the averaged parameters."""
        return self._best_coefficients().to_table()

    def _advance(self) -> Step:
        started = time.monotonic()
        state = self._state
        group = self._optimizer.param_groups[0]
        group["lr"] = self.recipe.rate((state.iteration + 1) / self.iterations)
        loss = self.objective.loss(self.space.coefficients(), self._network, state.iteration)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._shard.mean_gradients(self.space.parameters())
        total = loss.detach()
        self._shard.mean([total])
        value = float(total)
        norm = self._clip()
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise SearchDiverged(
                f"the loss is {value} at iteration {state.iteration} of {self.iterations}"
            )
        self._optimizer.step()
        self._follow()
        self._count(value, time.monotonic() - started)
        return self._told()

    def _clip(self) -> float:
        parameters = [p for p in self.space.parameters() if p.grad is not None]
        limit = self.recipe.max_gradient_norm
        norm = torch.nn.utils.clip_grad_norm_(parameters, math.inf if limit is None else limit)
        return float(norm)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average; its memory grows with the run, so that it is usable from the start."""
        limit = self.recipe.average_decay
        n = self._state.iteration
        decay = 0.0 if limit is None else min(limit, (1 + n) / (10 + n))
        for mean, value in zip(self._average.parameters(), self.space.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)

    def _count(self, loss: float, seconds: float) -> None:
        state = self._state
        state.iteration += 1
        state.seconds += seconds
        state.first_loss = loss if state.first_loss is None else state.first_loss
        state.loss = loss if state.loss is None else state.loss + SMOOTHING * (loss - state.loss)
        best = math.inf if state.best_loss is None else state.best_loss
        state.best_loss = min(state.loss, best)
        self._losses.append(loss)

    def _told(self) -> Step:
        state = self._state
        assert state.loss is not None
        assert state.best_loss is not None
        return Step(
            iteration=state.iteration,
            iterations=self.iterations,
            evaluations=self._evaluations(),
            loss=state.loss,
            best_loss=state.best_loss,
            table=self.best(),
        )

    def _evaluations(self) -> int:
        return self._spent + self._state.iteration * self._cost

    def _descended(self) -> Descended:
        state = self._state
        return Descended(
            table=self.best(),
            start=state.start,
            loss=math.nan if state.loss is None else state.loss,
            first_loss=math.nan if state.first_loss is None else state.first_loss,
            iterations=state.iteration,
            evaluations=self._evaluations(),
            losses=tuple(self._losses),
            seconds=state.seconds,
        )

    def _best_coefficients(self) -> Coefficients:
        averaged = self.recipe.average_decay is not None and self._state.iteration > 0
        with torch.no_grad():
            return (self._average if averaged else self.space).coefficients()

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"space": self.space, "average": self._average, "objective": self.objective}

    def _save(self) -> None:
        if self._checkpoint is not None and self._shard.is_first:
            save_checkpoint(self._checkpoint, self._modules(), self._optimizer, vars(self._state))

    def _restore(self) -> bool:
        """Whether there was something to go on from; the objective is prepared then."""
        # The first process decides: it may write the file before another one looks for it.
        if self._checkpoint is None or not self._shard.of_first(is_begun, self._checkpoint):
            return False
        try:
            progress = load_checkpoint(self._checkpoint, self._modules(), self._optimizer)
        except RuntimeError as error:  # torch's report of missing, unknown or misshapen tensors
            raise SearchRefused(f"{self._checkpoint} is of another search: {error}") from error
        self._state = State(**progress)
        return True


def is_begun(checkpoint: Path | None) -> bool:
    """Whether there is something to go on from."""
    return checkpoint is not None and checkpoint.exists()


def iteration_cost(objective: Objective, recipe: Recipe, steps: int) -> int:
    again = objective.batches.size * steps if recipe.rematerialise else 0
    return objective.cost(steps) + again


def _steps(space: Space) -> int:
    with torch.no_grad():
        return space.coefficients().nfe
