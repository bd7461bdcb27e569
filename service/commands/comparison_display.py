"""A comparison as tables on the terminal, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from search_jobs.evaluate import Contender, Measurement, Metric

from .comparison import Comparison

COLUMNS = {  # title and format; where there is room the error stands beside the figure
    Metric.FRECHET_DISTANCE: ("Fréchet", "{value:.1f} ± {margin:.1f}"),
    Metric.ENDPOINT_RMSE: ("RMSE", "{value:.4f} ± {margin:.4f}"),
    Metric.PSNR: ("PSNR", "{value:.1f}"),
    Metric.CLASS_ACCURACY: ("accuracy", "{value:.1%}"),
    Metric.PRECISION: ("precision", "{value:.1%}"),
    Metric.RECALL: ("recall", "{value:.1%}"),
}

Row = tuple[Contender, Measurement]


def tables(comparison: Comparison) -> list[Table]:
    """One for each step count, best first."""
    return [_table(comparison, steps) for steps in comparison.step_counts]


def legend(comparison: Comparison) -> str:
    """What the tables' figures mean."""
    plan, converged = comparison.evaluation.plan, comparison.evaluation.converged
    judge = comparison.subject.judge
    lines = [
        f"{plan.num_samples} samples by each solver, all from the same noises; ± is 95 %; ≈ equals "
        "the best of its column within the noise of their difference.",
        f"RMSE and PSNR: {plan.num_endpoints} samples beside the converged solution, "
        f"{converged.solver} at {converged.steps} steps, which moves by {converged.self_error:.1g} "
        "when its steps are doubled.",
    ]
    if judge is None:
        lines.append("The model ships no judge: nothing is known of how real its pictures look.")
    else:
        lines.append(
            "Fréchet distance and recall change with the number of samples: compare them at equal "
            "numbers only."
        )
    return "\n".join(lines)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All that was measured, and on what."""
    subject, evaluation = comparison.subject, comparison.evaluation
    return {
        "model": subject.name,
        "model_digest": subject.problem.identity,
        "guidance_scale": subject.problem.guidance_scale,
        "num_samples": evaluation.plan.num_samples,
        "num_endpoints": evaluation.plan.num_endpoints,
        "seeds": [evaluation.plan.seeds[0], evaluation.plan.seeds[-1]],
        "converged": asdict(evaluation.converged),
        "judge": None if subject.judge is None else subject.judge.digest,
        "device": subject.problem.device.type,
        "results": [
            _result(*row) for steps in comparison.step_counts for row in comparison.of_steps(steps)
        ],
    }


def _result(contender: Contender, measurement: Measurement) -> dict[str, Any]:
    return {
        "solver": contender.name,
        "steps": measurement.steps,
        "digest": measurement.digest,
        "num_broken": measurement.num_broken,
        "metrics": {
            metric.value: {
                "value": estimate.value,
                "interval_95": list(measurement.interval(metric)),
            }
            for metric, estimate in measurement.estimates.items()
        },
    }


def _table(comparison: Comparison, steps: int) -> Table:
    rows = comparison.of_steps(steps)
    metrics = [metric for metric in COLUMNS if any(metric in m.estimates for _, m in rows)]
    scale = comparison.subject.problem.guidance_scale
    title = f"{comparison.subject.name}, guidance {scale:g}, {steps} steps"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("solver", no_wrap=True)
    for metric in metrics:
        table.add_column(COLUMNS[metric][0], justify="right", no_wrap=True)
    best = {metric: _best(rows, metric) for metric in metrics}
    for contender, measurement in sorted(rows, key=lambda row: _order(row[1], metrics)):
        cells = [_cell(measurement, metric, best[metric]) for metric in metrics]
        if measurement.num_broken:
            cells[:1] = ["[red]not finite[/red]"]
        table.add_row(contender.name, *cells)
    return table


def _best(rows: Sequence[Row], metric: Metric) -> Measurement:
    sound = [measurement for _, measurement in rows if metric in measurement.estimates]
    return min(sound, key=lambda measurement: _rank(measurement, metric))


def _order(measurement: Measurement, metrics: Sequence[Metric]) -> tuple[bool, float]:
    """By the first column; what gave no figures comes last."""
    if measurement.num_broken or not metrics:
        return True, 0.0
    return False, _rank(measurement, metrics[0])


def _rank(measurement: Measurement, metric: Metric) -> float:
    value = measurement.estimates[metric].value
    return value if metric.lower_is_better else -value


def _cell(measurement: Measurement, metric: Metric, best: Measurement) -> str:
    estimate = measurement.get(metric)
    if estimate is None:
        return ""
    text = COLUMNS[metric][1].format(value=estimate.value, margin=estimate.margin)
    if measurement is best:
        return f"[bold]{text}[/bold]  "
    difference = estimate - best.estimates[metric]
    return f"{text} ≈" if abs(difference.value) <= difference.margin else f"{text}  "
