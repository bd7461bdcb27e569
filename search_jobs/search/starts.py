"""Where a search may start; which one it does is decided by trial."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.classic import solver_times, trace
from diffusion_core.coefficients import Coefficients
from diffusion_core.schedule import get_schedule
from solver_store.published import published_tables
from solver_store.table import SolverTable

from .shard import Shard
from .superset import BASES


@dataclass(frozen=True)
class Start:
    """A table to start from, and why it may be a good one."""

    name: str
    coefficients: Coefficients


def starts(schedule: str, steps: int, known: Mapping[str, SolverTable]) -> list[Start]:
    """The base solver at uniform times and at those of the nearest known tables, and known tables.

    known  by name; those of another schedule or prediction are passed over
    """
    base = BASES[schedule]
    uniform = _traced(schedule, solver_times(base, schedule, steps))
    found = [Start(base, uniform)]
    fitting = {
        name: table
        for name, table in (_published(schedule) | dict(known)).items()
        if table.schedule == schedule and table.prediction == uniform.prediction
    }
    for name, table in fitting.items():
        if table.nfe == steps:
            found.append(Start(name, Coefficients.from_table(table)))
    for name, table in _nearest(fitting, steps):
        found.append(
            Start(f"{base} at the times of {name}", _traced(schedule, resampled(table, steps)))
        )
    return found


def choose(candidates: list[Start], trial: Callable[[Coefficients], float], shard: Shard) -> Start:
    """The one whose trial loss is lowest; of equals the first. The same in every process."""
    with torch.no_grad():
        losses = shard.map(trial, [start.coefficients for start in candidates])
    return candidates[losses.index(min(losses))]


def resampled(table: SolverTable, steps: int) -> Tensor:
    """The times of a table as a curve over 0..1, read at another number of steps: (steps + 1,)."""
    times = torch.tensor(table.times, dtype=torch.float64)
    position = torch.linspace(0, table.nfe, steps + 1, dtype=torch.float64)
    below = position.floor().long().clamp(max=table.nfe - 1)
    between = times[below].lerp(times[below + 1], position - below)
    schedule = get_schedule(table.schedule)
    between[0], between[-1] = schedule.t_noise, schedule.t_data
    return between


def _traced(schedule: str, times: Tensor) -> Coefficients:
    with torch.no_grad():
        return trace(BASES[schedule], schedule, times)


def _published(schedule: str) -> dict[str, SolverTable]:
    """All of this schedule; vp tables serve ddpm in its own clock only where they fit, so not."""
    return {entry.name: entry.table for entry in published_tables()}


def _nearest(tables: Mapping[str, SolverTable], steps: int) -> Iterator[tuple[str, SolverTable]]:
    """Of every number of steps that is nearest from below or above, the first table."""
    others = sorted(
        (item for item in tables.items() if item[1].nfe != steps),
        key=lambda item: abs(item[1].nfe - steps),
    )
    yield from others[:2]
