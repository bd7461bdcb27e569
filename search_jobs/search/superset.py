"""Our space: a strong solver at the present times, plus what the search adds to it.

    times         gaps = softmax(g)
    node_times    times[n] + NODE_SCALE * span * s[n]
    weights[n,j]  base[n,j] + gain[n] * d[n,j]                                  j < n
    weights[n,n]  base[n,n] + gain[n] * (ROW_SCALE * r[n] - sum_{j<n} d[n,j])
    carry[n]      base carry[n] * (1 + CARRY_SCALE * k[n])

The base is recomputed at every change of times, and differentiated through. gain is what a row
that sums to 1 moves the state by. With d, r, k and s at zero this is the base solver; the paper's
space, and with it every multistep solver, is the part with r = k = s = 0.

Parameters are scaled so that a step of one size suits all: carry, row sums and node times decide
more with less.

Source: the ideas of base plus zero-initialised deltas from GS (arXiv 2510.17699), free node times
and row sums from BNS (2403.01329) and DLMS.
"""

import torch
from torch import Tensor, nn

from diffusion_core.classic import trace
from diffusion_core.coefficients import Coefficients
from diffusion_core.schedule import Schedule, get_schedule, network_time
from solver_store.table import Prediction

from ..errors import SearchRefused
from .space import Space, log_gaps_of, times_between

BASES = {"rectified-flow": "ab2", "vp": "dpmpp-2m", "ddpm": "dpmpp-2m"}
ALL_PARTS = frozenset({"nodes", "rows", "carry"})
NODE_SCALE, ROW_SCALE, CARRY_SCALE = 0.05, 0.1, 0.1


class Superset(Space):
    """N (N - 1) / 2 + 4 N parameters."""

    def __init__(
        self,
        schedule: str,
        steps: int,
        free: frozenset[str] = ALL_PARTS,
        base: str | None = None,
    ):
        """free: which parts are searched, of ALL_PARTS. base: a classical solver."""
        super().__init__()
        self.schedule = schedule
        self.base = base or BASES[schedule]
        uniform = torch.full((steps,), 1.0 / steps, dtype=torch.float64)
        self.log_gaps = nn.Parameter(uniform.log())
        self.mixing = nn.Parameter(torch.zeros(steps, steps, dtype=torch.float64))
        self.node_shifts = _vector(steps, "nodes" in free)
        self.row_shifts = _vector(steps, "rows" in free)
        self.carry_shifts = _vector(steps, "carry" in free)

    @classmethod
    def starting_at(
        cls,
        table: Coefficients,
        schedule: str,
        free: frozenset[str] = ALL_PARTS,
        base: str | None = None,
    ) -> "Superset":
        """The point of the space that is a table, or as near to it as the free parts allow.

        Raises SearchRefused where the table sums another prediction than the base does.
        """
        space = cls(schedule, table.nfe, free, base)
        with torch.no_grad():
            space._move_to(table)
        return space

    def coefficients(self) -> Coefficients:
        schedule = get_schedule(self.schedule)
        times = times_between(schedule, self.log_gaps)
        base = trace(self.base, self.schedule, times)
        gains = gain(schedule, base.prediction, times)[:, None]
        mixing = self.mixing.tril(-1)
        own = ROW_SCALE * self.row_shifts - mixing.sum(dim=1)
        return Coefficients(
            schedule=self.schedule,
            prediction=base.prediction,
            node_times=self._node_times(schedule, times),
            times=times,
            carry=base.carry * (1.0 + CARRY_SCALE * self.carry_shifts),
            weights=base.weights + gains * (mixing + torch.diag(own)),
        )

    def _node_times(self, schedule: Schedule, times: Tensor) -> Tensor:
        span = schedule.t_data - schedule.t_noise
        shifted = times[:-1] + NODE_SCALE * span * self.node_shifts
        low, high = sorted((schedule.t_noise, schedule.t_data))
        return network_time(shifted.clamp(low, high), self.schedule, self.schedule)

    def _move_to(self, table: Coefficients) -> None:
        schedule = get_schedule(self.schedule)
        span = schedule.t_data - schedule.t_noise
        self.log_gaps.copy_(log_gaps_of(schedule, table.times))
        times = times_between(schedule, self.log_gaps)
        base = trace(self.base, self.schedule, times)
        if table.prediction != base.prediction:
            raise SearchRefused(
                f"a search on {self.schedule} starts from a table over {base.prediction} "
                f"predictions, got one over {table.prediction}"
            )
        extra = (table.weights - base.weights) / gain(schedule, base.prediction, times)[:, None]
        self.mixing.copy_(extra.tril(-1))
        if self.row_shifts.requires_grad:
            self.row_shifts.copy_(extra.sum(dim=1) / ROW_SCALE)
        if self.carry_shifts.requires_grad:
            # On the step into sigma = 0 nothing is carried over, and no factor changes that.
            ratio = torch.where(base.carry == 0, 1.0, table.carry / base.carry)
            self.carry_shifts.copy_((ratio - 1.0) / CARRY_SCALE)
        if self.node_shifts.requires_grad:
            shifts = table.node_times - table.times[:-1]
            self.node_shifts.copy_(shifts / (NODE_SCALE * span))


def gain(schedule: Schedule, prediction: Prediction, times: Tensor) -> Tensor:
    """(N,) how far a step moves the state per unit of a constant prediction.

    velocity  t' - t
    data      alpha' - sigma' alpha / sigma       (sigma' = 0 is no exception)
    """
    if prediction is Prediction.VELOCITY:
        return times[1:] - times[:-1]
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    return alpha[1:] - sigma[1:] * alpha[:-1] / sigma[:-1]


def _vector(steps: int, is_free: bool) -> nn.Parameter:
    return nn.Parameter(torch.zeros(steps, dtype=torch.float64), requires_grad=is_free)
