"""A result: what was measured, on what, under which parameters, and whether it was good enough."""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from . import environment

RESULTS = environment.ROOT / "benchmarks" / "results"

COMPARISONS: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Target:
    """What a figure has to reach."""

    figure: str  # a key of the result's figures
    comparison: str  # ">=" or "<="
    bound: float

    def is_met(self, value: float) -> bool:
        return COMPARISONS[self.comparison](value, self.bound)

    def __str__(self) -> str:
        return f"{self.comparison} {self.bound:g}"


@dataclass(frozen=True)
class Result:
    """One benchmark's outcome; the file name is `<name>.json`."""

    name: str
    about: str  # how it was measured, in a sentence or two
    parameters: Mapping[str, Any]
    figures: Mapping[str, float]  # the headline, units in the names
    samples: Mapping[str, Any]  # what the figures were made from, summarised
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()
    taken_at: str = field(default_factory=environment.now)

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "about": self.about,
            "date": self.taken_at,
            "machine": environment.machine(),
            "versions": environment.versions(),
            "parameters": dict(self.parameters),
            "figures": dict(self.figures),
            "targets": [
                {"figure": t.figure, "target": str(t), "met": t.is_met(self.figures[t.figure])}
                for t in self.targets
            ],
            "samples": dict(self.samples),
            "notes": list(self.notes),
        }

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n", "utf-8")
        return path

    def show(self, console: Console) -> None:
        """The figures as a table for people."""
        targets = {target.figure: target for target in self.targets}
        table = Table(title=self.name, caption=self.about, title_justify="left")
        table.add_column("figure")
        table.add_column("value", justify="right")
        table.add_column("target", justify="right")
        for name, value in self.figures.items():
            table.add_row(name, f"{value:.4g}", _verdict(targets.get(name), value))
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", highlight=False)


def _verdict(target: Target | None, value: float) -> str:
    if target is None:
        return ""
    return f"{target} [green]met[/]" if target.is_met(value) else f"{target} [red]missed[/]"
