"""Searched tables beside all others, measured on the same held-out noises.

A first heat looks at everyone; a final, with more samples, at those who could be best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from diffusion_core.classic import classical_table
from search_jobs.evaluate import (
    Contender,
    Evaluation,
    EvaluationPlan,
    Measurement,
    Meter,
    Metric,
    Subject,
    classical_contenders,
    evaluate,
    published_contenders,
)
from search_jobs.search import Critic, Problem
from search_jobs.spec import Objective

from ..results import Result
from .cells import Cell, Searched, searched
from .figures import figures_of, targets_of
from .matching import fewest

ABOUT = (
    "Tables of equal numbers of network evaluations on the bundled model, from the same held-out "
    "noises, with 95 % intervals over groups of seeds; endpoint errors are root mean squares over "
    "pixels in [-1, 1], from the converged solution; Fréchet distances in the judge's features. "
    "Budgets count network evaluations: forward 1, backward 2, a guided pair 1, teachers included."
)
TEACHER_OF_THE_PAPER = ("euler", 100)
CONVERGED = ("unipc-3-lambda", 48)
NUM_CLASSICAL_FINALISTS = 2  # of each figure


@dataclass(frozen=True)
class Bench:
    """What all cells share."""

    subject: Subject
    problem: Problem
    critic: Critic | None
    first_heat: EvaluationPlan
    final: EvaluationPlan
    work: Path  # checkpoints, teachers, measurements
    results: Path  # the cells' files


@dataclass(frozen=True)
class Heat:
    """Everyone's figures by name, and what counted as converged."""

    measured: Mapping[str, Measurement]
    evaluation: Evaluation


def compare(bench: Bench, cells: Sequence[Cell], steps: int, console: Console) -> Result:
    """Search what is not searched yet, then measure it beside everyone else."""
    found = _search(bench, cells, console)
    searched_tables = [Contender(entry.cell.name, entry.table) for entry in found]
    classical = classical_contenders(bench.problem.kind, steps, with_uniform_lambda=True)
    published = published_contenders(bench.problem.kind, steps)
    teacher, converged = _at(bench, *TEACHER_OF_THE_PAPER), _at(bench, *CONVERGED)
    others = [*classical, *published, teacher, converged]
    first = _measure(bench, [*searched_tables, *others], bench.first_heat, console)
    best = _best_names([contender.name for contender in classical], first.measured)
    finalists = [c for c in classical if c.name in best] + [*published, converged]
    final = _measure(bench, [*searched_tables, *finalists], bench.final, console)
    figures = figures_of(found, first.measured, final.measured)
    figures |= _evaluations_to_match(bench, found, classical, first, steps, console)
    return Result(
        name=_name("compare", bench, steps),
        about=ABOUT,
        parameters=_parameters(bench, steps, first) | {"final_samples": bench.final.num_samples},
        figures=figures,
        samples={
            "first_heat": _all_shown(first),
            "final": _all_shown(final),
            "searches": {entry.cell.name: _cost(entry) for entry in found},
        },
        targets=targets_of(figures, steps),
    )


def ablate(bench: Bench, cells: Sequence[Cell], steps: int, console: Console) -> Result:
    """Search what is not searched yet, and measure it by itself."""
    found = _search(bench, cells, console)
    tables = [Contender(entry.cell.name, entry.table) for entry in found]
    heat = _measure(bench, tables, bench.first_heat, console)
    return Result(
        name=_name("ablation", bench, steps),
        about=ABOUT,
        parameters=_parameters(bench, steps, heat),
        figures=figures_of(found, heat.measured, heat.measured),
        samples={
            "measured": _all_shown(heat),
            "searches": {entry.cell.name: _cost(entry) for entry in found},
        },
    )


def _search(bench: Bench, cells: Sequence[Cell], console: Console) -> list[Searched]:
    found = []
    for cell in cells:
        console.print(f"searching {cell.name} …")
        found.append(searched(cell, bench.problem, bench.critic, bench.work, bench.results))
    return found


def _measure(
    bench: Bench, contenders: Sequence[Contender], plan: EvaluationPlan, console: Console
) -> Heat:
    console.print(f"measuring {len(contenders)} tables on {plan.num_samples} samples …")
    evaluation = evaluate(bench.subject, contenders, plan, bench.work / "measured", Meter())
    names = [contender.name for contender in contenders]
    return Heat(dict(zip(names, evaluation.measurements, strict=True)), evaluation)


def _evaluations_to_match(
    bench: Bench,
    found: Sequence[Searched],
    classical: Sequence[Contender],
    first: Heat,
    steps: int,
    console: Console,
) -> dict[str, float]:
    """How many the classical solver nearest to the converged solution needs to be as near."""
    rmse = {
        name: measurement.estimates[Metric.ENDPOINT_RMSE].value
        for name, measurement in first.measured.items()
        if Metric.ENDPOINT_RMSE in measurement.estimates
    }
    best = min((c.name for c in classical if c.name in rmse), key=lambda name: rmse[name])

    def error_at(count: int) -> float:
        contender = _at(bench, best, count)
        heat = _measure(bench, [contender], bench.first_heat, console)
        return heat.measured[contender.name].estimates[Metric.ENDPOINT_RMSE].value

    needed = {
        entry.cell.name: fewest(error_at, rmse[entry.cell.name], steps)
        for entry in found
        if entry.cell.objective is Objective.ENDPOINT and not entry.cell.variant
    }
    return {
        f"evaluations of {best} for the RMSE of {name}": count
        for name, count in needed.items()
        if count is not None
    }


def _at(bench: Bench, name: str, count: int) -> Contender:
    """A classical solver at another number of evaluations."""
    table = classical_table(name, bench.problem.kind.schedule, count)
    return Contender(f"{name} at {count}", table)


def _best_names(names: Sequence[str], measured: Mapping[str, Measurement]) -> set[str]:
    """Of each figure that decides."""
    best: set[str] = set()
    for metric in (Metric.ENDPOINT_RMSE, Metric.FRECHET_DISTANCE):
        values = {
            name: measured[name].estimates[metric].value
            for name in names
            if metric in measured[name].estimates
        }
        best |= set(sorted(values, key=lambda name: values[name])[:NUM_CLASSICAL_FINALISTS])
    return best


def _name(plan: str, bench: Bench, steps: int) -> str:
    guidance = repr(bench.problem.guidance_scale).removesuffix(".0")
    return f"search-{plan}-{bench.subject.name}-g{guidance}-{steps}"


def _parameters(bench: Bench, steps: int, heat: Heat) -> dict[str, Any]:
    return {
        "model": bench.subject.name,
        "model_digest": bench.problem.identity,
        "guidance_scale": bench.problem.guidance_scale,
        "steps": steps,
        "samples": bench.first_heat.num_samples,
        "endpoints": bench.first_heat.num_endpoints,
        "converged": vars(heat.evaluation.converged),
    }


def _all_shown(heat: Heat) -> dict[str, Any]:
    return {name: _shown(measurement) for name, measurement in heat.measured.items()}


def _shown(measurement: Measurement) -> dict[str, Any]:
    return {
        metric.value: {
            "value": estimate.value,
            "interval_95": [round(bound, 5) for bound in measurement.interval(metric)],
        }
        for metric, estimate in measurement.estimates.items()
    } | ({"broken": measurement.num_broken} if measurement.num_broken else {})


def _cost(entry: Searched) -> dict[str, Any]:
    keys = (
        "start", "iterations", "nominal_evaluations", "evaluations",
        "seconds_with_teacher", "peak_memory_mib",
    )  # fmt: skip
    return {key: entry.facts[key] for key in keys}
