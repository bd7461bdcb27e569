"""Searched tables beside all others, measured on the same held-out noises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from diffusion_core.classic import classical_table
from search_jobs.evaluate import (
    Contender,
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
from search_jobs.spec import Method, Objective

from ..results import Result, Target
from .cells import Cell, Searched, searched

ABOUT = (
    "Tables of equal numbers of network evaluations on the bundled model, from the same held-out "
    "noises, with 95 % intervals over groups of seeds; endpoint errors are root mean squares over "
    "pixels in [-1, 1], from the converged solution; Fréchet distances in the judge's features. "
    "Budgets count network evaluations: forward 1, backward 2, a guided pair 1, teachers included."
)
TEACHER_OF_THE_PAPER = ("euler", 100)
CONVERGED = ("unipc-3-lambda", 48)
ENDPOINT_TARGETS = {6: 0.65, 10: 0.4}  # of the paper's search, by number of steps


@dataclass(frozen=True)
class Bench:
    """What all cells share."""

    subject: Subject
    problem: Problem
    critic: Critic | None
    plan: EvaluationPlan
    work: Path  # checkpoints, teachers, measurements
    results: Path  # the cells' files


def compare(bench: Bench, cells: Sequence[Cell], steps: int, plan: str, console: Console) -> Result:
    """Search what is not searched yet, then measure everyone."""
    found = []
    for cell in cells:
        console.print(f"searching {cell.name} …")
        found.append(searched(cell, bench.problem, bench.critic, bench.work, bench.results))
    everyone = {entry.cell.name: Contender(entry.cell.name, entry.table) for entry in found}
    if plan == "compare":
        everyone |= {contender.name: contender for contender in _others(bench, steps)}
    console.print(f"measuring {len(everyone)} tables …")
    evaluation = evaluate(
        bench.subject, list(everyone.values()), bench.plan, bench.work / "measured", Meter()
    )
    measured = dict(zip(everyone, evaluation.measurements, strict=True))
    guidance = repr(bench.problem.guidance_scale).removesuffix(".0")
    figures = _figures(found, measured, steps)
    return Result(
        name=f"search-{plan}-{bench.subject.name}-g{guidance}-{steps}",
        about=ABOUT,
        parameters={
            "model": bench.subject.name,
            "model_digest": bench.problem.identity,
            "guidance_scale": bench.problem.guidance_scale,
            "steps": steps,
            "samples": bench.plan.num_samples,
            "endpoints": bench.plan.num_endpoints,
            "converged": vars(evaluation.converged),
        },
        figures=figures,
        samples={
            "measured": {name: _shown(m) for name, m in measured.items()},
            "searches": {entry.cell.name: _cost(entry) for entry in found},
        },
        targets=_targets(figures, steps),
    )


def _others(bench: Bench, steps: int) -> list[Contender]:
    """Classical solvers, published tables, the paper's teacher, and the converged solution."""
    kind = bench.problem.kind
    long = [
        Contender(f"{name} at {count}", classical_table(name, kind.schedule, count))
        for name, count in (TEACHER_OF_THE_PAPER, CONVERGED)
    ]
    return [*classical_contenders(kind, steps), *published_contenders(kind, steps), *long]


def _figures(
    found: Sequence[Searched], measured: Mapping[str, Measurement], steps: int
) -> dict[str, float]:
    """Means over the seeds of each search, and the best of the others."""
    figures: dict[str, float] = {}
    groups: dict[str, list[Measurement]] = {}
    for entry in found:
        label = entry.cell.name.rpartition("-s")[0]
        groups.setdefault(label, []).append(measured[entry.cell.name])
    for label, measurements in groups.items():
        for metric in (Metric.ENDPOINT_RMSE, Metric.FRECHET_DISTANCE, Metric.CLASS_ACCURACY):
            values = [m.estimates[metric].value for m in measurements if metric in m.estimates]
            if values:
                figures[f"{label} {metric.value}"] = sum(values) / len(values)
    own = _rmse_of(found, measured, Method.DSS_PLUS)
    paper = _rmse_of(found, measured, Method.DSS)
    if own and paper:
        figures["endpoint_rmse_over_dss"] = own / paper
    return figures


def _rmse_of(
    found: Sequence[Searched], measured: Mapping[str, Measurement], method: Method
) -> float | None:
    values = [
        measured[entry.cell.name].estimates[Metric.ENDPOINT_RMSE].value
        for entry in found
        if entry.cell.method is method and entry.cell.objective is Objective.ENDPOINT
    ]
    return sum(values) / len(values) if values else None


def _targets(figures: Mapping[str, float], steps: int) -> list[Target]:
    if "endpoint_rmse_over_dss" not in figures or steps not in ENDPOINT_TARGETS:
        return []
    return [Target("endpoint_rmse_over_dss", "<=", ENDPOINT_TARGETS[steps])]


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
