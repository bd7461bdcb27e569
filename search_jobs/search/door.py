"""One call: a problem and a number of steps in, a table out."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from diffusion_core.classic import classical_table, trace
from diffusion_core.coefficients import Coefficients
from solver_store.table import SolverTable

from ..errors import SearchRefused
from ..spec import DEFAULT_BUDGETS, Method
from ..spec import Objective as Aim
from .batches import Batches
from .descent import Descended, Descent, Watch, is_begun
from .fitting import fitted, fitting_cost
from .objectives import (
    Critic,
    DistributionObjective,
    EndpointObjective,
    Objective,
    TrajectoryObjective,
)
from .paper_space import PaperSpace
from .problem import Problem
from .recipe import Recipe, recipe_of
from .room import check_room, thrifty
from .shard import Shard
from .space import Space
from .starts import Start, choose, starts
from .superset import Superset
from .teacher import Teacher, Tick

PAPER_SCHEDULES = {"rectified-flow": "rectified-flow", "vp": "vp", "ddpm": "vp"}
PAPER_TEACHERS = {"rectified-flow": "euler", "vp": "ddim"}
TEACHER_SHARE, TRIAL_SHARE = 0.25, 0.15  # of a budget, at most


def search(
    problem: Problem,
    steps: int,
    *,
    method: Method = Method.DSS_PLUS,
    objective: Aim = Aim.ENDPOINT,
    critic: Critic | None = None,
    budget: int | None = None,
    seed: int = 0,
    recipe: Recipe | None = None,
    known: Mapping[str, SolverTable] | None = None,
    checkpoint: Path | None = None,
    cache: Path | None = None,
    watch: Watch = lambda step: False,
    teaching: Tick = lambda done, of: None,
) -> Descended:
    """Search a table of so many steps.

    critic      features of images and those of real ones; an objective other than the endpoint
                needs it
    budget      network evaluations; a guided pair counts as one
    known       tables to consider as a start, by name
    checkpoint  file to resume from and to write to; None starts anew and keeps nothing
    cache       folder of teachers' endpoints, shared by all searches
    watch       told of every iteration; returns True to stop and keep what there is
    teaching    told of the teacher's every step

    In several processes (shard.py) all return the same; `watch` is told in the first one alone.

    Raises SearchRefused where the objective needs a critic, the processes cannot share a batch, or
    memory has no room for an iteration; SearchDiverged, OSError.
    """
    recipe = recipe or recipe_of(method, objective)
    recipe = thrifty(recipe, problem, steps)
    budget = DEFAULT_BUDGETS[method.value] if budget is None else budget
    shard = Shard.current()
    _check_shares(recipe.batch_size, shard)
    begun = shard.of_first(is_begun, checkpoint)
    if not begun:
        share = replace(recipe, batch_size=recipe.batch_size // shard.size)
        shard.of_first(check_room, share, problem, steps)
    batches = Batches(recipe.batch_size, seed, shard)
    if method is Method.DSS:
        aim: Objective = _paper_objective(problem, batches, recipe)
        space: Space = PaperSpace(PAPER_SCHEDULES[problem.kind.schedule], steps)
        start, spent = "uniform", 0
    else:
        recipe = affordable(recipe, budget)
        aim = _objective(problem, batches, recipe, objective, critic, cache, teaching)
        chosen, spent = _start(aim, steps, recipe, budget, known or {}, begun)
        schedule = problem.kind.schedule
        space = Superset.starting_at(chosen.coefficients, schedule, recipe.free, recipe.base)
        start = chosen.name
    descent = Descent(space, aim, recipe, budget, start=start, spent=spent, checkpoint=checkpoint)
    return descent.run(watch)


def _start(
    aim: Objective,
    steps: int,
    recipe: Recipe,
    budget: int,
    known: Mapping[str, SolverTable],
    begun: bool,
) -> tuple[Start, int]:
    """The best start by trial, of as many as a share of the budget pays for, and what that costs.

    begun  the checkpoint holds what the search started with: nothing is tried again
    """
    candidates = starts(aim.problem.kind.schedule, steps, known)
    price = aim.trial_cost(steps)
    if recipe.fit_starts:  # every one is tried as it is, and fitted
        price = 2 * price + fitting_cost(steps)
    num_paid = int(TRIAL_SHARE * budget) // price
    candidates = candidates[: max(1, num_paid if recipe.try_starts else 1)]
    if num_paid == 0 or (len(candidates) == 1 and not recipe.fit_starts):
        return candidates[0], 0
    cost = len(candidates) * price
    if begun:
        return candidates[0], cost
    shard = aim.batches.shard
    if recipe.fit_starts:
        candidates += shard.map(partial(_fitted, aim.problem), candidates)
    return choose(candidates, aim.trial, shard), cost


def _fitted(problem: Problem, start: Start) -> Start:
    return Start(f"{start.name}, fitted", fitted(problem, start.coefficients))


def affordable(recipe: Recipe, budget: int) -> Recipe:
    """With as many of the teacher's samples as a share of the budget pays for; a batch at least."""
    paid = int(TEACHER_SHARE * budget) // recipe.teacher_steps
    samples = max(recipe.batch_size, min(recipe.teacher_samples, paid))
    return replace(recipe, teacher_samples=samples)


def _check_shares(batch_size: int, shard: Shard) -> None:
    if batch_size % shard.size:
        fitting = [str(n) for n in range(1, batch_size + 1) if batch_size % n == 0]
        raise SearchRefused(
            f"a batch of {batch_size} samples must be shared evenly: take {', '.join(fitting)} "
            f"processes, not {shard.size}"
        )


def _paper_objective(problem: Problem, batches: Batches, recipe: Recipe) -> TrajectoryObjective:
    schedule = PAPER_SCHEDULES[problem.kind.schedule]
    return TrajectoryObjective(problem, batches, _paper_teacher(schedule, recipe))


def _paper_teacher(schedule: str, recipe: Recipe) -> Coefficients:
    if recipe.teacher is not None:
        table = classical_table(recipe.teacher, schedule, recipe.teacher_steps)
        return Coefficients.from_table(table)
    with torch.no_grad():
        ends = PaperSpace(schedule, 1).coefficients().times
        times = torch.linspace(
            float(ends[0]), float(ends[-1]), recipe.teacher_steps + 1, dtype=torch.float64
        )
        return trace(PAPER_TEACHERS[schedule], schedule, times)


def _objective(
    problem: Problem,
    batches: Batches,
    recipe: Recipe,
    aim: Aim,
    critic: Critic | None,
    cache: Path | None,
    teaching: Tick,
) -> Objective:
    if aim is not Aim.ENDPOINT and critic is None:
        raise SearchRefused(f"the objective {aim} needs a critic: features of real images")
    endpoint = _endpoint(problem, batches, recipe, cache, teaching)
    if aim is Aim.ENDPOINT or critic is None:
        return endpoint
    weight = recipe.mixture_weight if aim is Aim.MIXTURE else 0.0
    return DistributionObjective(
        endpoint, critic, recipe.memory, weight=weight, class_weight=recipe.class_weight
    )


def _endpoint(
    problem: Problem, batches: Batches, recipe: Recipe, cache: Path | None, teaching: Tick
) -> EndpointObjective:
    teacher = Teacher.of(problem, cache, recipe.teacher_steps)
    count = recipe.teacher_samples
    endpoints = teacher.endpoints(count, teaching, batches.shard)
    return EndpointObjective(problem, batches, endpoints, teacher.cost(count))
