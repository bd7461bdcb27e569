"""Search spaces: free numbers, and the table that they stand for."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from diffusion_core.coefficients import Coefficients
from diffusion_core.schedule import Schedule


class Space(nn.Module, ABC):
    """Float64 parameters of a solver of N steps on one schedule."""

    @abstractmethod
    def coefficients(self) -> Coefficients:
        """The table at the present parameters, differentiable in them."""


def times_between(schedule: Schedule, log_gaps: Tensor) -> Tensor:
    """(N,) -> (N + 1,) times over the whole schedule, its ends pinned: gaps are a softmax."""
    shares = torch.softmax(log_gaps, dim=0).cumsum(0)[:-1]
    between = schedule.t_noise + (schedule.t_data - schedule.t_noise) * shares
    first = torch.full_like(log_gaps[:1], schedule.t_noise)
    last = torch.full_like(log_gaps[:1], schedule.t_data)
    return torch.cat([first, between, last])


def log_gaps_of(schedule: Schedule, times: Tensor) -> Tensor:
    """The inverse of `times_between`, for times that need not reach the ends; (N + 1,) -> (N,)."""
    shares = (times[1:] - times[:-1]) / (schedule.t_data - schedule.t_noise)
    # A gap of zero (Heun's second stage) has no logarithm: a thousandth is as good as none.
    return shares.clamp(min=1e-3).log()
