"""A searched table that ships, beside classical and published solvers on its own network.

As a search job does it: all classical solvers are looked at on a few samples, and the best of them
are measured on many, with the published table and the one that was searched. Or every one of them
is measured, which takes long, on fewer samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from search_jobs.rivals import best_classical

from ..results import Result
from ..search.figures import lead

ABOUT = (
    "The searched table that ships beside the published ones and {classical} of as "
    "many steps, at the model's default guidance scale, from the same held-out noises; root mean "
    "square distance of the ends from the converged solution, Fréchet distance in the judge's "
    "features, class accuracy. A lead is in 95 % margins of the paired difference: above 1 it is "
    "beyond the noise."
)
BEST = "the best classical ones (all were looked at before, on a few of the noises)"
EVERY = "every classical one, at uniform times and at uniform log-SNR,"
METRICS = (Metric.ENDPOINT_RMSE, Metric.FRECHET_DISTANCE, Metric.CLASS_ACCURACY)


@dataclass(frozen=True)
class Home:
    """A network, and the table that was searched on it."""

    subject: Subject
    default: str  # the classical solver that its card names
    searched: Contender


def others(home: Home, steps: int, plan: EvaluationPlan, cache: Path) -> list[Contender]:
    """The best of those that no search of ours has made."""
    classical = best_classical(home.subject, home.default, steps, plan, cache, Meter())
    return [*classical, *published_contenders(home.subject.problem.kind, steps)]


def everyone(home: Home, steps: int) -> list[Contender]:
    """All that no search of ours has made."""
    kind = home.subject.problem.kind
    classical = classical_contenders(kind, steps, with_uniform_lambda=True)
    return [*classical, *published_contenders(kind, steps)]


def measured(
    home: Home, contenders: Sequence[Contender], plan: EvaluationPlan, cache: Path
) -> dict[str, Measurement]:
    """By name; what was measured before is looked up."""
    evaluation = evaluate(home.subject, contenders, plan, cache, Meter())
    names = [contender.name for contender in contenders]
    return dict(zip(names, evaluation.measurements, strict=True))


def compare(
    home: Home, steps: int, plan: EvaluationPlan, cache: Path, every: bool = False
) -> Result:
    """every: measure all classical solvers, not the best ones alone."""
    rivals = everyone(home, steps) if every else others(home, steps, plan, cache)
    found = measured(home, [home.searched, *rivals], plan, cache)
    own = found[home.searched.name]
    figures: dict[str, float] = {}
    for metric in (m for m in METRICS if m in own.estimates):  # some models have no judge
        best = best_of([found[rival.name] for rival in rivals], metric)
        figures[f"searched {metric.value}"] = own.estimates[metric].value
        figures[f"best other {metric.value}"] = best.estimates[metric].value
        figures[f"lead in {metric.value}"] = lead(own, best, metric)
    return Result(
        name=f"models-{home.subject.name}-{steps}{'-every' if every else ''}",
        about=ABOUT.format(classical=EVERY if every else BEST),
        parameters=parameters(home, steps, plan) | {"searched": home.searched.name},
        figures=figures,
        samples=shown(found),
    )


def best_of(measurements: Sequence[Measurement], metric: Metric) -> Measurement:
    """Of those whose samples did not diverge."""
    sound = [m for m in measurements if metric in m.estimates]
    sign = 1 if metric.lower_is_better else -1
    return min(sound, key=lambda m: sign * m.estimates[metric].value)


def parameters(home: Home, steps: int, plan: EvaluationPlan) -> dict[str, Any]:
    return {
        "model": home.subject.name,
        "guidance_scale": home.subject.problem.guidance_scale,
        "steps": steps,
        "samples": plan.num_samples,
        "endpoints": plan.num_endpoints,
    }


def shown(found: Mapping[str, Measurement]) -> dict[str, Any]:
    return {
        name: {
            metric.value: {"value": estimate.value, "margin": estimate.margin}
            for metric, estimate in measurement.estimates.items()
        }
        for name, measurement in found.items()
    }
