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


def psnr(images: Tensor, converged: Tensor) -> float:
    """Peak signal-to-noise ratio over all of (B, 3, H, W) in [-1, 1], in dB; infinite where equal.

    Images are clipped, as a PNG clips them. The ratio is that of the whole set's mean square
    error, not the mean of every image's ratio: one image that is met exactly would make that
    infinite.
    """
    return psnr_of(float(squared_errors(images.clamp(-1, 1), converged.clamp(-1, 1)).mean()))


def psnr_of(squared_error: float) -> float:
    """In dB, from a mean square error."""
    return math.inf if squared_error == 0 else 10 * math.log10(PEAK * PEAK / squared_error)
