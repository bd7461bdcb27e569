"""What the solvers in lambda = log(alpha / sigma) share: they sum predictions of the data.

    x_{n+1} = sigma'/sigma * x_n + alpha' int e^{lambda - lambda'} D(lambda) dlambda

A prime marks time n + 1. A D that stays the same over the step gives the DDIM step, whose weight
alpha' (1 - e^{-h}) = alpha' - alpha sigma'/sigma is finite where lambda is not.

Where alpha = 0, lambda is -inf: the step out of it has h = inf, and a prediction from there lies
infinitely far back, so that its divided difference vanishes. These limits are taken exactly.
Where sigma = 0, lambda is +inf and higher orders diverge: the order falls to 1 on the step into it,
and to 2 on the step before. (diffusers does the same, the latter for DPM-Solver++ only below 15
steps.) On an interval that ends before sigma = 0 it does not fall.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from solver_store.table import Prediction

from ..coefficients import Coefficients
from ..schedule import Schedule
from ..tracing import coefficients_from_rows


@dataclass(frozen=True)
class LogSnrPath:
    """The numbers of every step; index n is the step from n to n + 1."""

    schedule: Schedule
    times: Tensor  # (N + 1,)
    alpha: Tensor  # (N + 1,)
    log_snr: Tensor  # (N + 1,) lambda
    carry: Tensor  # (N,)  sigma' / sigma
    gain: Tensor  # (N,)  alpha' (1 - e^{-h})
    rise: Tensor  # (N,)  h = lambda' - lambda
    leaves_pure_noise: bool  # alpha is zero at the first time
    ends_clean: bool  # sigma is zero at the last time

    @property
    def nfe(self) -> int:
        return self.times.shape[0] - 1

    def order(self, n: int, nominal: int) -> int:
        """The order of step n: what the history allows, falling into sigma = 0."""
        remaining = self.nfe - n if self.ends_clean else nominal
        return min(nominal, n + 1, remaining)

    def is_finite(self, n: int) -> bool:
        """Whether lambda is finite at node n."""
        return n > 0 or not self.leaves_pure_noise

    def alpha_rise(self, n: int) -> Tensor:
        """alpha' h of step n, where h is finite."""
        return self.alpha[n + 1] * self.rise[n]

    def phi(self, k: int, n: int) -> Tensor:
        """phi_k(-h) of step n, where h is finite."""
        return phi(k, -self.rise[n])

    def coefficients(self, rows: Tensor) -> Coefficients:
        return coefficients_from_rows(rows, self.schedule, Prediction.DATA, self.times)


def log_snr_path(schedule: Schedule, times: Tensor) -> LogSnrPath:
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    log_snr = schedule.log_snr(times)
    carry = sigma[1:] / sigma[:-1]
    rise = log_snr[1:] - log_snr[:-1]
    return LogSnrPath(
        schedule=schedule,
        times=times,
        alpha=alpha,
        log_snr=log_snr,
        carry=carry,
        gain=alpha[1:] - alpha[:-1] * carry,
        rise=rise,
        leaves_pure_noise=bool(alpha[0] == 0),
        ends_clean=bool(sigma[-1] == 0),
    )


def phi(k: int, z: Tensor) -> Tensor:
    """phi_k(z) = (phi_{k-1}(z) - 1 / (k-1)!) / z with phi_0 = exp; by its series near zero."""
    if z.detach().abs() < 1.0:
        return (z**_EXPONENTS) @ _SERIES[k]
    value = torch.expm1(z) / z  # phi_1
    for j in range(2, k + 1):
        value = (value - 1.0 / math.factorial(j - 1)) / z
    return value


_TERMS = range(18)
_EXPONENTS = torch.tensor(_TERMS, dtype=torch.float64)
_SERIES = {  # phi_k(z) = sum_j z^j / (j + k)!
    k: torch.tensor([1.0 / math.factorial(j + k) for j in _TERMS], dtype=torch.float64)
    for k in range(1, 5)
}
