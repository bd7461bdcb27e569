"""What a search has found, beside what it was measured against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from ..answers import SearchResultAnswer

# As search_jobs/evaluate measures them; not imported from there, for that needs torch.
COLUMNS = {  # title and format
    "frechet_distance": ("Fréchet", "{:.1f}"),
    "endpoint_rmse": ("RMSE", "{:.4f}"),
    "psnr": ("PSNR", "{:.1f}"),
    "class_accuracy": ("accuracy", "{:.1%}"),
    "precision": ("precision", "{:.1%}"),
    "recall": ("recall", "{:.1%}"),
}
LOWER_IS_BETTER = frozenset({"frechet_distance", "endpoint_rmse"})


@dataclass(frozen=True)
class Entry:
    """One row: a solver and its figures."""

    name: str
    metrics: Mapping[str, float]
    is_found: bool = False


def results_table(result: SearchResultAnswer) -> Table:
    """One step count: the found solver and its rivals, best first by the first column."""
    entries = _entries(result)
    metrics = [name for name in COLUMNS if any(name in entry.metrics for entry in entries)]
    table = Table(title=f"{result.steps} steps", title_justify="left", box=None, pad_edge=False)
    table.add_column("solver", no_wrap=True)
    for name in metrics:
        table.add_column(COLUMNS[name][0], justify="right", no_wrap=True)
    for entry in _ranked(entries, metrics[:1]):
        cells = [_cell(entry.metrics.get(name), COLUMNS[name][1]) for name in metrics]
        table.add_row(entry.name, *cells, style="bold" if entry.is_found else None)
    return table


def found_name(result: SearchResultAnswer) -> str:
    """glyphs-g1.5-8/3, champion and faithful"""
    aliases = " and ".join(result.promoted)
    return f"{result.solver.name}/{result.solver.version}" + (aliases and f", {aliases}")


def _entries(result: SearchResultAnswer) -> list[Entry]:
    evidence = result.evidence
    if evidence is None:
        return [Entry(found_name(result), {}, is_found=True)]
    rivals = [
        Entry(rival["name"], rival["metrics"]) for rival in evidence.details.get("rivals", ())
    ]
    return [Entry(found_name(result), evidence.metrics, is_found=True), *rivals]


def _ranked(entries: Sequence[Entry], by: Sequence[str]) -> list[Entry]:
    """Those without the figure last."""

    def rank(entry: Entry) -> list[tuple[bool, float]]:
        return [_rank(entry.metrics.get(name), name) for name in by]

    return sorted(entries, key=rank)


def _rank(value: float | None, name: str) -> tuple[bool, float]:
    if value is None:
        return True, 0.0
    return False, value if name in LOWER_IS_BETTER else -value


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
