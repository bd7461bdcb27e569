"""The headline of a comparison, and what it has to reach."""

from collections.abc import Iterable, Mapping, Sequence

from search_jobs.evaluate import Measurement, Metric
from search_jobs.spec import Method, Objective

from ..results import Target
from .cells import Searched

HEADLINE = (
    Metric.ENDPOINT_RMSE, Metric.FRECHET_DISTANCE, Metric.CLASS_ACCURACY, Metric.RECALL,
)  # fmt: skip
RMSE_OVER_DSS = "endpoint_rmse_over_dss"
RMSE_TARGETS = {6: 0.65, 10: 0.4}  # by number of steps

# Of the search for distributions, over whoever comes nearest to it, in 95 % margins of the paired
# difference: above 1 it is better beyond the noise, below -1 worse.
LEADS = {
    "frechet_lead_in_margins": (Metric.FRECHET_DISTANCE, 1.0),
    "accuracy_lead_in_margins": (Metric.CLASS_ACCURACY, -1.0),
    "recall_lead_in_margins": (Metric.RECALL, -1.0),
}


def figures_of(
    found: Sequence[Searched],
    first: Mapping[str, Measurement],
    final: Mapping[str, Measurement],
) -> dict[str, float]:
    """Means over the seeds of each search, and how far ahead of all others they are.

    first, final  by name: on fewer samples everyone, on more those who could be best
    """
    figures: dict[str, float] = {}
    groups: dict[str, list[Measurement]] = {}
    for entry in found:
        label = entry.cell.name.rpartition("-s")[0]
        groups.setdefault(label, []).append(final[entry.cell.name])
    for label, measurements in groups.items():
        for metric in HEADLINE:
            values = [m.estimates[metric].value for m in measurements if metric in m.estimates]
            if values:
                figures[f"{label} {metric.value}"] = sum(values) / len(values)
    return figures | _rmse_over_dss(found, first) | _leads(found, final)


def targets_of(figures: Mapping[str, float], steps: int) -> list[Target]:
    targets = [Target(name, ">=", bound) for name, (_, bound) in LEADS.items() if name in figures]
    if RMSE_OVER_DSS in figures and steps in RMSE_TARGETS:
        targets.append(Target(RMSE_OVER_DSS, "<=", RMSE_TARGETS[steps]))
    return targets


def _rmse_over_dss(
    found: Sequence[Searched], measured: Mapping[str, Measurement]
) -> dict[str, float]:
    own, paper = (
        _mean(
            measured[entry.cell.name].estimates[Metric.ENDPOINT_RMSE].value
            for entry in found
            if (entry.cell.method, entry.cell.objective, entry.cell.variant)
            == (method, Objective.ENDPOINT, "")
        )
        for method in (Method.DSS_PLUS, Method.DSS)
    )
    return {RMSE_OVER_DSS: own / paper} if own and paper else {}


def _leads(found: Sequence[Searched], measured: Mapping[str, Measurement]) -> dict[str, float]:
    """Of the first seed; its rivals are all that no search of ours has made."""
    own = next((e for e in found if e.cell.objective is Objective.DISTRIBUTION), None)
    if own is None:
        return {}
    ours = {entry.cell.name for entry in found if entry.cell.method is Method.DSS_PLUS}
    rivals = [measurement for name, measurement in measured.items() if name not in ours]
    return {
        name: min(lead(measured[own.cell.name], rival, metric) for rival in rivals)
        for name, (metric, _) in LEADS.items()
        if rivals and all(metric in rival.estimates for rival in rivals)
    }


def lead(candidate: Measurement, rival: Measurement, metric: Metric) -> float:
    """How much better a figure is, in 95 % margins of the paired difference."""
    difference = candidate.estimates[metric] - rival.estimates[metric]
    gain = -difference.value if metric.lower_is_better else difference.value
    return gain / difference.margin if difference.margin else 0.0


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None
