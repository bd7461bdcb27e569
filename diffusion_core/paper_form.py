"""The two forms of Differentiable Solver Search, compiled into coefficients.

With M[i, j] = c[i, j] for j < i and M[i, i] = 1 - sum_{j<i} c[i, j]:

    rectified flow (eq. 16)   x_{i+1} = x_i + dt_i * sum_{j<=i} M[i, j] * v_j
    vp (eq. 19)               x_{i+1} = sigma'/sigma * x_i + sigma' (omega' - omega) * sum_{j<=i}
                                        M[i, j] * D_j          omega = alpha / sigma

One update a step. (The released `ddpm` samplers advance the state twice a step, which does not
converge; the paper and the authors' own text-to-image scheduler advance it once.)

Published time deltas are rounded and sum to 0.9999 to 1.0002, so the last time is pinned.

Source: Wang et al. 2025 (arXiv 2505.21114), eq. 16 and 19.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from solver_store.table import Prediction

from .coefficients import Coefficients
from .schedule import get_schedule

VP_LAST_TIME = 1e-3  # the published solvers stop here, short of the clean image


def rectified_flow_coefficients(time_deltas: Tensor, coefficients: Tensor) -> Coefficients:
    """Eq. 16 from t = 0; the last time is pinned to 1.

    time_deltas   (N,)    positive, summing to about 1
    coefficients  (N, N)  strictly lower triangular
    """
    rises = time_deltas.cumsum(0)
    times = torch.cat([torch.zeros_like(rises[:1]), rises[:-1], torch.ones_like(rises[:1])])
    steps = times[1:] - times[:-1]
    return Coefficients(
        schedule="rectified-flow",
        prediction=Prediction.VELOCITY,
        node_times=times[:-1],
        times=times,
        carry=torch.ones_like(steps),
        weights=steps[:, None] * with_own_weight(coefficients),
    )


def vp_coefficients(time_deltas: Tensor, coefficients: Tensor) -> Coefficients:
    """Eq. 19 from t = 0.999; as published no time is below 1e-3, where the last one is pinned.

    time_deltas   (N,)    positive, summing to about 1
    coefficients  (N, N)  strictly lower triangular
    """
    schedule = get_schedule("vp")
    first = torch.full_like(time_deltas[:1], schedule.t_noise)
    between = (schedule.t_noise - time_deltas.cumsum(0)[:-1]).clamp(min=VP_LAST_TIME)
    times = torch.cat([first, between, torch.full_like(first, VP_LAST_TIME)])
    sigma = schedule.sigma(times)
    omega = schedule.alpha(times) / sigma
    gain = sigma[1:] * (omega[1:] - omega[:-1])
    return Coefficients(
        schedule="vp",
        prediction=Prediction.DATA,
        node_times=times[:-1],
        times=times,
        carry=sigma[1:] / sigma[:-1],
        weights=gain[:, None] * with_own_weight(coefficients),
    )


def with_own_weight(coefficients: Tensor) -> Tensor:
    """M: every row of c completed on the diagonal to sum to 1; (N, N) -> (N, N)."""
    strictly_lower = coefficients.tril(-1)
    return strictly_lower + torch.diag(1.0 - strictly_lower.sum(dim=1))


def coefficient_matrix(rows: Sequence[Sequence[float]]) -> Tensor:
    """Published rows (row i holds the i weights on predictions 0 .. i-1) as an (N, N) matrix."""
    matrix = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for i, row in enumerate(rows):
        matrix[i, : len(row)] = torch.tensor(row, dtype=torch.float64)
    return matrix
