"""Where a search may start; which one it does is decided by trial."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.classic import solver_times, trace
from diffusion_core.coefficients import Coefficients
from diffusion_core.errors import TableMismatch
from diffusion_core.schedule import get_schedule, network_time
from solver_store.published import published_tables
from solver_store.table import SolverTable

from .shard import Shard
from .superset import BASES

NUM_NEAREST = 2  # tables of other step counts whose times are tried


@dataclass(frozen=True)
class Start:
    """A table to start from, and why it may be a good one."""

    name: str
    coefficients: Coefficients


def starts(schedule: str, steps: int, known: Mapping[str, SolverTable]) -> list[Start]:
    """The base solver at uniform times and at those of the nearest known tables, and known tables.

    known  by name. Of a table in the schedule's other clock (vp and ddpm are one schedule in two)
           the times are taken; one of another schedule is passed over.
    """
    base = BASES[schedule]
    uniform = _traced(schedule, solver_times(base, schedule, steps))
    found = [Start(base, uniform)]
    times: dict[str, Tensor] = {}
    for name, table in (_published() | dict(known)).items():
        fits = table.schedule == schedule and table.prediction == uniform.prediction
        if fits and table.nfe == steps:
            found.append(Start(name, Coefficients.from_table(table)))
        elif (in_clock := times_in(schedule, table)) is not None:
            times[name] = in_clock
    for name in sorted(times, key=lambda name: abs(len(times[name]) - 1 - steps))[:NUM_NEAREST]:
        resized = _traced(schedule, resampled(times[name], schedule, steps))
        found.append(Start(f"{base} at the times of {name}", resized))
    return found


def times_in(schedule: str, table: SolverTable) -> Tensor | None:
    """(N + 1,) float64: a table's times in the clock of a schedule; None where it is another."""
    try:
        return network_time(
            torch.tensor(table.times, dtype=torch.float64), table.schedule, schedule
        )
    except TableMismatch:
        return None


def choose(candidates: list[Start], trial: Callable[[Coefficients], float], shard: Shard) -> Start:
    """The one whose trial loss is lowest; of equals the first. The same in every process.

    One that diverges is taken only where all do.
    """
    with torch.no_grad():
        losses = shard.map(trial, [start.coefficients for start in candidates])
    losses = [loss if math.isfinite(loss) else math.inf for loss in losses]
    return candidates[losses.index(min(losses))]


def resampled(times: Tensor, schedule: str, steps: int) -> Tensor:
    """Times (N + 1,) as a curve over 0..1, read at another number of steps: (steps + 1,)."""
    last = len(times) - 1
    position = torch.linspace(0, last, steps + 1, dtype=torch.float64)
    below = position.floor().long().clamp(max=last - 1)
    between = times[below].lerp(times[below + 1], position - below)
    ends = get_schedule(schedule)
    between[0], between[-1] = ends.t_noise, ends.t_data
    return between


def _traced(schedule: str, times: Tensor) -> Coefficients:
    with torch.no_grad():
        return trace(BASES[schedule], schedule, times)


def _published() -> dict[str, SolverTable]:
    return {entry.name: entry.table for entry in published_tables()}
