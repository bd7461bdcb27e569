"""A table that was searched on one network, used on another one of the same schedule."""

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
)

from ..results import Result

ABOUT = (
    "Tables searched on one network and used on another, at each network's default guidance scale, "
    "from the same held-out noises; root mean square distance of the ends from the converged "
    "solution, and Fréchet distance in the judge's features. A loss is the figure "
    "divided by that of the table that was searched at home."
)


@dataclass(frozen=True)
class Home:
    """A network, and the table that was searched on it."""

    subject: Subject
    searched: Contender


def transfer(homes: Sequence[Home], steps: int, plan: EvaluationPlan, cache: Path) -> Result:
    """Every table on every network, with the best classical solver beside them."""
    measured = {home.subject.name: _on(home.subject, homes, steps, plan, cache) for home in homes}
    figures: dict[str, float] = {}
    for home in homes:
        here = measured[home.subject.name]
        at_home = here[home.searched.name]
        for guest in homes:
            if guest is not home:
                label = f"{guest.subject.name} on {home.subject.name}"
                figures |= _losses(label, here[guest.searched.name], at_home)
        classical = [m for name, m in here.items() if name not in _names(homes)]
        figures |= _losses(f"best classical on {home.subject.name}", _best(classical), at_home)
    return Result(
        name=f"models-transfer-{steps}",
        about=ABOUT,
        parameters={
            "steps": steps,
            "samples": plan.num_samples,
            "guidance": {home.subject.name: home.subject.problem.guidance_scale for home in homes},
        },
        figures=figures,
        samples={model: _shown(measurements) for model, measurements in measured.items()},
    )


def _on(
    subject: Subject, homes: Sequence[Home], steps: int, plan: EvaluationPlan, cache: Path
) -> dict[str, Measurement]:
    contenders = [home.searched for home in homes]
    contenders += classical_contenders(subject.problem.kind, steps, with_uniform_lambda=True)
    evaluation = evaluate(subject, contenders, plan, cache, Meter())
    names = [contender.name for contender in contenders]
    return dict(zip(names, evaluation.measurements, strict=True))


def _names(homes: Sequence[Home]) -> set[str]:
    return {home.searched.name for home in homes}


def _best(measurements: Sequence[Measurement]) -> Measurement:
    sound = [m for m in measurements if Metric.ENDPOINT_RMSE in m.estimates]
    return min(sound, key=lambda m: m.estimates[Metric.ENDPOINT_RMSE].value)


def _losses(label: str, away: Measurement, at_home: Measurement) -> dict[str, float]:
    """How many times as large the figures are as those of the table that was searched there."""
    return {
        f"{label}, {metric.value} over home": away.estimates[metric].value
        / at_home.estimates[metric].value
        for metric in (Metric.ENDPOINT_RMSE, Metric.FRECHET_DISTANCE)
        if metric in away.estimates and metric in at_home.estimates
    }


def _shown(measurements: Mapping[str, Measurement]) -> dict[str, Any]:
    return {
        name: {metric.value: estimate.value for metric, estimate in m.estimates.items()}
        for name, m in measurements.items()
    }
