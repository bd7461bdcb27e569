"""Noise schedules: how much data and how much noise a state holds at time t.

    x_t = alpha(t) * data + sigma(t) * noise

name             clock               alpha                     noise end   data end
rectified-flow   t from 0 to 1       t                         t = 0       t = 1
vp               t from 0.999 to 0   exp(-1/2 int_0^t beta)    t = 0.999   t = 0
ddpm             index 999 to -1     sqrt(prod_0^n (1-beta))   n = 999     n = -1, the clean image

`vp` and `ddpm` are one schedule in two clocks: the network's index is 1000 * t.

Source: rectified flow, Liu et al. 2022; vp, Song et al. 2021, eq. 32 (beta from 0.1 to 20);
ddpm, Ho et al. 2020 (beta from 1e-4 to 0.02 over 1000 steps).
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .errors import TableMismatch

NUM_DDPM_STEPS = 1000


class Schedule(ABC):
    """A noise schedule. All methods map float64 tensors of any shape element by element.

    Everything is differentiable in t. Where alpha or sigma is zero, log_snr is infinite and its
    derivative (and that of a square root ending there) is given as zero: such an end is pinned.
    """

    name: ClassVar[str]
    t_noise: ClassVar[float]  # where sampling starts
    t_data: ClassVar[float]  # where it ends
    lambda_ends: ClassVar[tuple[float, float]]  # uniform-lambda times run between these two

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """The data's share."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """The noise's share."""

    @abstractmethod
    def time_of_log_snr(self, log_snr: Tensor) -> Tensor:
        """The inverse of log_snr, between the ends of the schedule."""

    @abstractmethod
    def velocity_coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(a, b) of velocity = a * data + b * noise."""

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda = log(alpha / sigma): -inf where alpha is zero, +inf where sigma is."""
        return _log(self.alpha(t)) - _log(self.sigma(t))


class RectifiedFlow(Schedule):
    """x_t = t * data + (1 - t) * noise; velocity = data - noise."""

    name = "rectified-flow"
    t_noise = 0.0
    t_data = 1.0
    lambda_ends = (1e-3, 1.0 - 1e-3)

    def alpha(self, t: Tensor) -> Tensor:
        return t

    def sigma(self, t: Tensor) -> Tensor:
        return 1.0 - t

    def time_of_log_snr(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(log_snr)

    def velocity_coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), -torch.ones_like(t)


class VariancePreserving(Schedule):
    """alpha^2 + sigma^2 = 1; velocity = alpha * noise - sigma * data.

    `vp` and `ddpm` are this one schedule in two clocks; the network is trained on 1000 indices.
    """

    index_step: ClassVar[float]  # one network index, in this clock

    @abstractmethod
    def log_alpha(self, t: Tensor) -> Tensor:
        """log alpha(t), at most 0."""

    @abstractmethod
    def time_of_log_alpha(self, log_alpha: Tensor) -> Tensor:
        """The inverse of log_alpha."""

    def alpha(self, t: Tensor) -> Tensor:
        return self.log_alpha(t).exp()

    def sigma(self, t: Tensor) -> Tensor:
        return square_root(-torch.expm1(2.0 * self.log_alpha(t)))

    def time_of_log_snr(self, log_snr: Tensor) -> Tensor:
        # alpha^2 = 1 / (1 + e^{-2 lambda})
        return self.time_of_log_alpha(0.5 * logsigmoid(2.0 * log_snr))

    def velocity_coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return -self.sigma(t), self.alpha(t)


class ContinuousVP(VariancePreserving):
    """log alpha(t) = -1/2 (beta_0 t + (beta_1 - beta_0) t^2 / 2), beta from 0.1 to 20."""

    name = "vp"
    t_noise = 0.999  # the network's last index, in this clock
    t_data = 0.0
    lambda_ends = (0.999, 1e-3)
    index_step = 1.0 / NUM_DDPM_STEPS

    beta_0: ClassVar[float] = 0.1
    beta_1: ClassVar[float] = 20.0

    def log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * t * (self.beta_0 + 0.5 * (self.beta_1 - self.beta_0) * t)

    def time_of_log_alpha(self, log_alpha: Tensor) -> Tensor:
        integral = -2.0 * log_alpha  # of beta over 0..t
        root = torch.sqrt(self.beta_0**2 + 2.0 * (self.beta_1 - self.beta_0) * integral)
        return 2.0 * integral / (self.beta_0 + root)


class DiscreteDDPM(VariancePreserving):
    """alpha at the 1000 indices of training, log alpha linear between them and the clean image."""

    name = "ddpm"
    t_noise = 999.0
    t_data = -1.0
    lambda_ends = (999.0, 0.0)
    index_step = 1.0

    def __init__(self) -> None:
        betas = torch.linspace(1e-4, 0.02, NUM_DDPM_STEPS, dtype=torch.float64)
        knots = 0.5 * torch.log1p(-betas).cumsum(0)
        self._knots = torch.cat([torch.zeros(1, dtype=torch.float64), knots])  # index -1 .. 999

    def log_alpha(self, t: Tensor) -> Tensor:
        position = t + 1.0  # in _knots
        below = position.detach().floor().clamp(0, NUM_DDPM_STEPS - 1)
        left = self._knots[below.long()]
        right = self._knots[below.long() + 1]
        return left + (position - below) * (right - left)

    def time_of_log_alpha(self, log_alpha: Tensor) -> Tensor:
        above = torch.searchsorted(-self._knots, -log_alpha.detach().contiguous())
        above = above.clamp(1, NUM_DDPM_STEPS)
        left, right = self._knots[above - 1], self._knots[above]
        return above - 2.0 + (log_alpha - left) / (right - left)


_SCHEDULES: dict[str, Schedule] = {
    schedule.name: schedule for schedule in (RectifiedFlow(), ContinuousVP(), DiscreteDDPM())
}


def get_schedule(name: str) -> Schedule:
    """Raises TableMismatch for an unknown name."""
    if name not in _SCHEDULES:
        raise TableMismatch(f"schedule must be one of {', '.join(_SCHEDULES)}, got {name!r}")
    return _SCHEDULES[name]


def network_time(t: Tensor, table_schedule: str, model_schedule: str) -> Tensor:
    """A time of a table in the clock of a model, within what its network was trained on.

    Raises TableMismatch where the two schedules are not one schedule in two clocks.
    """
    table, model = get_schedule(table_schedule), get_schedule(model_schedule)
    if not (isinstance(table, VariancePreserving) and isinstance(model, VariancePreserving)):
        if table is model:
            return t
        raise TableMismatch(
            f"a table for schedule {table_schedule} cannot drive a model of schedule "
            f"{model_schedule}"
        )
    if table is not model:
        t = t * (model.index_step / table.index_step)
    return t.clamp(0.0, model.t_noise)


def _log(value: Tensor) -> Tensor:
    """log, with -inf at zero and derivative zero there."""
    positive = value > 0
    logarithm = torch.log(torch.where(positive, value, torch.ones_like(value)))
    return torch.where(positive, logarithm, torch.full_like(value, -torch.inf))


def square_root(value: Tensor) -> Tensor:
    """Square root, with derivative zero at zero."""
    positive = value > 0
    root = torch.sqrt(torch.where(positive, value, torch.ones_like(value)))
    return torch.where(positive, root, torch.zeros_like(value))
