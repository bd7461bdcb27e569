"""Names of the classical solvers, the times that they use, and their tables.

    name = solver [-bh1] [-lambda]      unipc-3, dpmpp-2m-lambda, unipc-3-bh1-lambda

Times are uniform in t, or with -lambda uniform in lambda = log(alpha / sigma). The UniPC variant
is bh2 unless the name says bh1. `steps` always counts network evaluations.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor

from solver_store.table import MAX_NFE, SolverTable

from ..coefficients import Coefficients
from ..errors import SolverUnknown, TableMismatch
from ..schedule import Schedule, get_schedule
from .dpm_solver import ddim, dpm_solver_pp
from .integrators import adams_bashforth, deis, euler, heun
from .unipc import Variant, unipc

_ALGORITHMS: dict[str, Callable[[Schedule, Tensor], Coefficients]] = {
    "euler": euler,
    "heun": heun,
    "ab2": partial(adams_bashforth, order=2),
    "ab3": partial(adams_bashforth, order=3),
    "ab4": partial(adams_bashforth, order=4),
    "ddim": ddim,
    "dpmpp-2m": partial(dpm_solver_pp, order=2),
    "dpmpp-3m": partial(dpm_solver_pp, order=3),
    "unipc-2": partial(unipc, order=2, variant=Variant.BH2),
    "unipc-3": partial(unipc, order=3, variant=Variant.BH2),
    "deis-3": partial(deis, order=3),
}
_VARIANTS = {
    "unipc-2-bh1": partial(unipc, order=2, variant=Variant.BH1),
    "unipc-3-bh1": partial(unipc, order=3, variant=Variant.BH1),
}

CLASSICAL_SOLVERS: tuple[str, ...] = tuple(_ALGORITHMS)  # the names without a suffix


def is_classical(name: str) -> bool:
    """Whether `classical_table` knows the name, suffixes included."""
    return name.removesuffix("-lambda") in _ALGORITHMS | _VARIANTS


@lru_cache(maxsize=1024)
def classical_table(name: str, schedule: str, steps: int) -> SolverTable:
    """The table of a classical solver with `steps` network evaluations.

    Raises SolverUnknown for the name, TableMismatch for the number of steps or the schedule.
    """
    _algorithm(name)
    if not 1 <= steps <= MAX_NFE:
        raise TableMismatch(f"steps must lie in 1 to {MAX_NFE}, got {steps}")
    with torch.no_grad():
        return trace(name, schedule, solver_times(name, schedule, steps)).to_table()


def trace(name: str, schedule: str, times: Tensor) -> Coefficients:
    """A classical solver on any times, differentiable in them.

    times  (nfe + 1,)  float64, where the state stands; Heun's stand twice, as `solver_times` gives

    The suffix -lambda says nothing here. Raises as `classical_table`.
    """
    return _algorithm(name)(get_schedule(schedule), times)


def solver_times(name: str, schedule: str, steps: int) -> Tensor:
    """The times that a name stands for, (steps + 1,); both ends are the schedule's."""
    grid = _lambda_grid if name.endswith("-lambda") else _uniform_grid
    if name.removesuffix("-lambda") != "heun":
        return grid(get_schedule(schedule), steps)
    times = grid(get_schedule(schedule), (steps + 1) // 2)  # two evaluations a step
    return torch.cat([times[:1], times[1:].repeat_interleave(2)])[: steps + 1]


def _algorithm(name: str) -> Callable[[Schedule, Tensor], Coefficients]:
    if not is_classical(name):
        known = ", ".join(CLASSICAL_SOLVERS)
        raise SolverUnknown(f"no classical solver {name!r}; there are {known}")
    return (_ALGORITHMS | _VARIANTS)[name.removesuffix("-lambda")]


def _uniform_grid(schedule: Schedule, steps: int) -> Tensor:
    return torch.linspace(schedule.t_noise, schedule.t_data, steps + 1, dtype=torch.float64)


def _lambda_grid(schedule: Schedule, steps: int) -> Tensor:
    """Uniform in lambda between `lambda_ends`, then both ends pinned to the schedule's."""
    first, last = schedule.log_snr(torch.tensor(schedule.lambda_ends, dtype=torch.float64))
    log_snr = torch.linspace(float(first), float(last), steps + 1, dtype=torch.float64)
    times = schedule.time_of_log_snr(log_snr)
    times[0], times[-1] = schedule.t_noise, schedule.t_data
    return times
