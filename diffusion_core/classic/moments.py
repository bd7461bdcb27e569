"""Weights that integrate the polynomial through given nodes exactly.

With nodes t_0 > ... > t_{k-1} counted back from the newest, u = (t - t_0) / gap, and the moments

    M_m = int u(t)^m dtau     over the step

the weights of int p(t) dtau = sum_j w_j p(t_j) solve sum_j w_j u_j^m = M_m for m = 0 .. k - 1.
"""

import numpy as np
import torch
from torch import Tensor

from ..schedule import VariancePreserving, square_root

_QUADRATURE_POINTS = 8  # per network index: exact to about 1e-14


def adams_weights(tau: Tensor, n: int, order: int) -> Tensor:
    """Weights of the predictions at nodes n, n - 1, ... (order,), over the step n to n + 1."""
    gap = _gap(tau, n, order)
    end = (tau[n + 1] - tau[n]) / gap
    moments = torch.stack([gap * end ** (m + 1) / (m + 1) for m in range(order)])
    return _weights(tau, n, gap, moments)


def deis_weights(schedule: VariancePreserving, times: Tensor, n: int, order: int) -> Tensor:
    """The same, for polynomials in t integrated over rho = sigma / alpha; (order,)."""
    gap = _gap(times, n, order)
    moments = _rho_moments(schedule, times[n], times[n + 1], gap, order)
    return _weights(times, n, gap, moments)


def _gap(nodes: Tensor, n: int, order: int) -> Tensor:
    """A length to measure u in; order 1 needs none."""
    return nodes[n] - nodes[n - 1] if order > 1 else torch.ones_like(nodes[n])


def _weights(nodes: Tensor, n: int, gap: Tensor, moments: Tensor) -> Tensor:
    order = moments.shape[0]
    u = torch.stack([(nodes[n - j] - nodes[n]) / gap for j in range(order)])
    powers = torch.stack([u**m for m in range(order)])  # (m, j)
    return torch.linalg.solve(powers, moments)


def _rho_moments(
    schedule: VariancePreserving, start: Tensor, end: Tensor, gap: Tensor, order: int
) -> Tensor:
    """M_m = int_start^end u^m drho, by parts: only rho itself is needed, not its derivative.

    M_m = u_end^m (rho_end - rho_start) - m int_0^{u_end} u^{m-1} (rho - rho_start) du
    """
    rho_start = _rho(schedule, start)
    rise = _rho(schedule, end) - rho_start
    u_end = (end - start) / gap
    if order == 1:
        return rise[None]
    t, dt = _quadrature(schedule, start, end)
    u, risen = (t - start) / gap, _rho(schedule, t) - rho_start
    moments = [rise]
    for m in range(1, order):
        inner = (u ** (m - 1) * risen * dt).sum() / gap
        moments.append(u_end**m * rise - m * inner)
    return torch.stack(moments)


def _rho(schedule: VariancePreserving, t: Tensor) -> Tensor:
    return schedule.sigma(t) / schedule.alpha(t)


def _quadrature(schedule: VariancePreserving, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Points and weights of int f(t) dt from start down to end; (P,), (P,).

    Gauss-Legendre between neighbouring network indices, where ddpm has its kinks, in
    s = sqrt(t - t_data), because rho grows like s at the data end.
    """
    s = square_root(_edges(schedule, start, end) - schedule.t_data)
    middle, half = (s[1:] + s[:-1]) / 2, (s[1:] - s[:-1]) / 2  # (pieces,)
    points = (middle[:, None] + half[:, None] * _GAUSS_POINTS).flatten()
    weights = (half[:, None] * _GAUSS_WEIGHTS).flatten()
    return schedule.t_data + points**2, 2.0 * points * weights


def _edges(schedule: VariancePreserving, start: Tensor, end: Tensor) -> Tensor:
    """Start, the network indices between, end: falling."""
    high, low = start.detach(), end.detach()
    count = round((schedule.t_noise - schedule.t_data) / schedule.index_step)
    knots = schedule.t_noise - schedule.index_step * torch.arange(count, dtype=torch.float64)
    return torch.cat([start[None], knots[(knots < high) & (knots > low)], end[None]])


_points, _point_weights = np.polynomial.legendre.leggauss(_QUADRATURE_POINTS)
_GAUSS_POINTS = torch.from_numpy(_points)
_GAUSS_WEIGHTS = torch.from_numpy(_point_weights)
