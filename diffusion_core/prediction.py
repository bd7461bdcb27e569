"""Velocity, data and noise are one prediction in three bases: affine in (x, network output).

With x = alpha * data + sigma * noise and velocity = a * data + b * noise, any one of the three
and x give the other two.
"""

import torch
from torch import Tensor

from solver_store.table import Prediction

from .schedule import Schedule


def affine(
    network: Prediction, wanted: Prediction, schedule: Schedule, t: Tensor
) -> tuple[Tensor, Tensor]:
    """(p, q) of wanted = p * x + q * network output, with x the state at time t.

    t        (N,)  float64
    Returns  (N,), (N,)  float64; exactly (0, 1) where the two kinds are the same

    Infinite where the wanted prediction is not determined: a noise network tells nothing of the
    data where alpha is zero, a data network nothing of the noise where sigma is zero. The caller
    refuses such a table.
    """
    if network == wanted:
        return torch.zeros_like(t), torch.ones_like(t)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    a, b = schedule.velocity_coefficients(t)
    determinant = alpha * b - sigma * a
    match network, wanted:
        case Prediction.VELOCITY, Prediction.DATA:
            return b / determinant, -sigma / determinant
        case Prediction.VELOCITY, Prediction.NOISE:
            return -a / determinant, alpha / determinant
        case Prediction.NOISE, Prediction.DATA:
            return 1.0 / alpha, -sigma / alpha
        case Prediction.NOISE, Prediction.VELOCITY:
            return a / alpha, b - a * sigma / alpha
        case Prediction.DATA, Prediction.NOISE:
            return 1.0 / sigma, -alpha / sigma
        case _:  # from data to velocity
            return b / sigma, a - b * alpha / sigma
