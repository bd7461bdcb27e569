"""One search of a benchmark: run once, kept in a file, resumed where it was cut off."""

import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from diffusion_core.files import write_atomically
from search_jobs.search import Critic, Problem, Recipe, Step, recipe_of, search
from search_jobs.search.teacher import SOLVER
from search_jobs.spec import Method, Objective
from solver_store.table import SolverTable

from .. import environment

DEFAULT_MODEL = "glyphs"
NUM_LOSSES = 200  # of a curve that is kept


@dataclass(frozen=True)
class Cell:
    """A search to make."""

    method: Method
    objective: Objective
    steps: int
    guidance_scale: float
    budget: int  # network evaluations
    seed: int = 0
    variant: str = ""  # names a recipe that is not the method's own
    model: str = DEFAULT_MODEL

    @property
    def name(self) -> str:
        aim = "" if self.method is Method.DSS else f"-{self.objective.value}"
        variant = f"-{self.variant}" if self.variant else ""
        guidance = repr(self.guidance_scale).removesuffix(".0")
        budget = f"{self.budget // 1000}k"
        model = "" if self.model == DEFAULT_MODEL else f"{self.model}-"
        how = f"{self.method.value}{aim}{variant}"
        return f"{model}{how}-g{guidance}-{self.steps}-{budget}-s{self.seed}"


@dataclass(frozen=True)
class Searched:
    """What a cell gave."""

    cell: Cell
    table: SolverTable
    facts: dict[str, Any]


Change = Callable[[Recipe], Recipe]

LEFT_OUT: dict[str, Change] = {
    "no-average": lambda recipe: replace(recipe, average_decay=None),
    "no-warmup": lambda recipe: replace(recipe, warmup=0.0),
    "no-clipping": lambda recipe: replace(recipe, max_gradient_norm=None),
    "no-node-times": lambda recipe: replace(recipe, free=recipe.free - {"nodes"}),
    "no-row-sums": lambda recipe: replace(recipe, free=recipe.free - {"rows"}),
    "no-carry": lambda recipe: replace(recipe, free=recipe.free - {"carry"}),
    "euler-base": lambda recipe: replace(recipe, base="euler"),
    "uniform-start": lambda recipe: replace(recipe, try_starts=False),
}


def unfitted(recipe: Recipe) -> Recipe:
    return replace(recipe, fit_starts=False)


def _unfitted_and(change: Change) -> Change:
    return lambda recipe: change(unfitted(recipe))


VARIANTS: dict[str, Change] = {
    "": lambda recipe: recipe,
    "unfitted": unfitted,
    # One at a time from the recipe as it was before starts were fitted.
    **{f"unfitted-{name}": _unfitted_and(change) for name, change in LEFT_OUT.items()},
    **LEFT_OUT,
    "lr-0.003": lambda recipe: replace(recipe, learning_rate=0.003),
    "lr-0.01": lambda recipe: replace(recipe, learning_rate=0.01),
    "lr-0.06": lambda recipe: replace(recipe, learning_rate=0.06),
    "teacher-128": lambda recipe: replace(recipe, teacher_samples=128),
    "teacher-256": lambda recipe: replace(recipe, teacher_samples=256),
    "batch-8": lambda recipe: replace(recipe, batch_size=8),
    "batch-32": lambda recipe: replace(recipe, batch_size=32),
    "our-teacher": lambda recipe: replace(recipe, teacher=SOLVER, teacher_steps=32),  # of dss
    "lion": lambda recipe: replace(recipe, constant_sign_steps=True, learning_rate=0.01),
}

ABLATION = ("", "unfitted", *(f"unfitted-{name}" for name in LEFT_OUT))


def searched(
    cell: Cell, problem: Problem, critic: Critic | None, work: Path, results: Path
) -> Searched:
    """Look the cell up among the results, or search; `work` holds checkpoints and teachers."""
    path = results / f"{cell.name}.json"
    if path.exists():
        kept = json.loads(path.read_text("utf-8"))
        return Searched(cell, SolverTable.from_dict(kept["table"]), kept)
    losses: list[float] = []
    started = time.monotonic()

    def watch(step: Step) -> bool:
        losses.append(step.loss)
        return False

    found = search(
        problem,
        cell.steps,
        method=cell.method,
        objective=cell.objective,
        critic=critic,
        budget=cell.budget,
        seed=cell.seed,
        recipe=VARIANTS[cell.variant](recipe_of(cell.method, cell.objective)),
        checkpoint=work / f"{cell.name}.safetensors",
        cache=work / "teachers",
        watch=watch,
    )
    facts = {
        "cell": asdict(cell),
        "date": environment.now(),
        "machine": environment.machine(),
        "versions": environment.versions(),
        "model_digest": problem.identity,
        "start": found.start,
        "iterations": found.iterations,
        "nominal_evaluations": cell.budget,
        "evaluations": found.evaluations,
        "descent_seconds": round(found.seconds, 1),
        "seconds_with_teacher": round(time.monotonic() - started, 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "losses": thinned(losses),
        "table": found.table.as_dict(),
    }
    write_atomically((json.dumps(facts, indent=1) + "\n").encode(), path)
    return Searched(cell, found.table, facts)


def thinned(losses: list[float]) -> list[float]:
    """At most 200 of the smoothed losses, evenly."""
    every = max(1, len(losses) // NUM_LOSSES)
    return [float(f"{loss:.4g}") for loss in losses[::every]]
