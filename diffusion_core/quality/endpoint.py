"""How far samples are from the converged solutions of the same noises."""

import math

from torch import Tensor

PEAK = 2.0  # images span [-1, 1]


def squared_errors(samples: Tensor, converged: Tensor) -> Tensor:
    """(B, C, H, W) twice -> (B,) float64, the mean square difference of each."""
    return (samples.double() - converged.double()).square().flatten(1).mean(1)


def endpoint_rmse(samples: Tensor, converged: Tensor) -> float:
    """Root mean square difference from the converged solutions of the same noises."""
    return float(squared_errors(samples, converged).mean().sqrt())


def psnr_of(squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB, from the mean square error of pictures in [-1, 1].

    Of the whole set's mean, not the mean of every picture's ratio: one picture that is met exactly
    would make that infinite.
    """
    return math.inf if squared_error == 0 else 10 * math.log10(PEAK * PEAK / squared_error)
