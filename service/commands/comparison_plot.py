"""A comparison as a picture: every solver's figures over the number of steps."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from search_jobs.evaluate import Estimate, Metric

from .comparison import Comparison

PANELS = {
    Metric.FRECHET_DISTANCE: "Fréchet distance to real images",
    Metric.ENDPOINT_RMSE: "endpoint RMSE",
}
SIZE = (5.2, 4.2)  # inches of a panel
SPREAD = 0.3  # steps over which the solvers of one step count stand side by side


def write_plot(comparison: Comparison, file: Path) -> None:
    """Draw every metric that was measured on a panel of its own. Raises OSError."""
    measured = {
        metric
        for measurement in comparison.evaluation.measurements
        for metric in measurement.estimates
    }
    metrics = [metric for metric in PANELS if metric in measured]
    figure = Figure(figsize=(SIZE[0] * max(1, len(metrics)) + 2.4, SIZE[1]), layout="constrained")
    plan, subject = comparison.evaluation.plan, comparison.subject
    figure.suptitle(
        f"{subject.name}, guidance {subject.problem.guidance_scale:g}, "
        f"{plan.num_samples} samples ({plan.num_endpoints} endpoints), bars: 95 %"
    )
    for n, metric in enumerate(metrics):
        axes = figure.add_subplot(1, len(metrics), n + 1)
        _draw(axes, comparison, metric)
        if n == len(metrics) - 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")
    figure.savefig(file, dpi=150)


def _draw(axes: Axes, comparison: Comparison, metric: Metric) -> None:
    lines = _lines(comparison, metric)
    for n, (family, points) in enumerate(lines.items()):
        shift = SPREAD * (n / max(1, len(lines) - 1) - 0.5)
        axes.errorbar(
            [steps + shift for steps in points],
            [estimate.value for estimate in points.values()],
            yerr=[estimate.margin for estimate in points.values()],
            label=family,
            marker="os^Dv"[n // 10 % 5],  # colours repeat after ten
            markersize=4,
            linewidth=1,
            capsize=2,
        )
    if metric is Metric.ENDPOINT_RMSE:  # falls by a factor with every step
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(comparison.step_counts)
    axes.set_xlabel("steps (network evaluations)")
    axes.set_title(PANELS[metric], fontsize="medium")
    axes.grid(alpha=0.3)


def _lines(comparison: Comparison, metric: Metric) -> dict[str, dict[int, Estimate]]:
    """By name without its step count, as published families and stored names are called."""
    lines: dict[str, dict[int, Estimate]] = {}
    for steps in sorted(comparison.step_counts):
        for contender, measurement in comparison.of_steps(steps):
            if metric in measurement.estimates:
                family = _family(contender.name, steps)
                lines.setdefault(family, {})[steps] = measurement.estimates[metric]
    return lines


def _family(name: str, steps: int) -> str:
    """flowdcn-b-256-6 -> flowdcn-b-256; glyphs-g1.5-6/2 (champion) -> glyphs-g1.5/2 (champion)."""
    head, slash, rest = name.partition("/")
    return head.removesuffix(f"-{steps}") + slash + rest
