"""A table that was searched on one network, used on another one of the same schedule."""

from collections.abc import Sequence
from pathlib import Path

from search_jobs.evaluate import Measurement, Metric

from ..results import Result
from .comparison import Home, best_of, measured, others, shown

ABOUT = (
    "Tables searched on one network and used on another, at each network's default guidance scale, "
    "from the same held-out noises; root mean square distance of the ends from the converged "
    "solution, and Fréchet distance in the judge's features. A loss is the figure "
    "divided by that of the table that was searched at home."
)
METRICS = (Metric.ENDPOINT_RMSE, Metric.FRECHET_DISTANCE)


def transfer(homes: Sequence[Home], steps: int, num_samples: int, cache: Path, name: str) -> Result:
    """Every table on every network, with the best other beside them."""
    figures: dict[str, float] = {}
    samples = {}
    for home in homes:
        plan = home.subject.plan(num_samples)
        rivals = others(home, steps, plan, cache)
        found = measured(home, [*(h.searched for h in homes), *rivals], plan, cache)
        own = found[home.searched.name]
        for metric in (m for m in METRICS if m in own.estimates):
            for guest in (h for h in homes if h is not home):
                label = f"{guest.subject.name} on {home.subject.name}"
                figures |= _loss(label, metric, found[guest.searched.name], own)
            best = best_of([found[rival.name] for rival in rivals], metric)
            figures |= _loss(f"best other on {home.subject.name}", metric, best, own)
        samples[home.subject.name] = shown(found)
    return Result(
        name=name,
        about=ABOUT,
        parameters={
            "steps": steps,
            "samples": num_samples,
            "guidance": {home.subject.name: home.subject.problem.guidance_scale for home in homes},
        },
        figures=figures,
        samples=samples,
    )


def _loss(label: str, metric: Metric, away: Measurement, own: Measurement) -> dict[str, float]:
    """How many times as large the figure is as that of the table that was searched there.

    None where the samples diverge away from home.
    """
    if metric not in away.estimates:
        return {}
    ratio = away.estimates[metric].value / own.estimates[metric].value
    return {f"{label}, {metric.value} over home": ratio}
