"""UniPC: a predictor, and a corrector that costs no evaluation.

The corrector puts the prediction at the predicted state into the same formula once more. It moves
the state that the next step starts from, never the one that the network is asked at, so only the
predicted states are rows of the table, and no corrector follows the last step.
"""

import math
from enum import StrEnum

import torch
from torch import Tensor

from ..coefficients import Coefficients
from ..schedule import Schedule
from ..tracing import Tracer
from .log_snr import LogSnrPath, log_snr_path


class Variant(StrEnum):
    """B(h) of the paper. It only matters where a weight is set to 1/2 instead of solved for."""

    BH1 = "bh1"  # B(h) = h
    BH2 = "bh2"  # B(h) = 1 - e^{-h}


def unipc(schedule: Schedule, times: Tensor, order: int, variant: Variant) -> Coefficients:
    """UniPC-p: data prediction, multistep, corrected at every node but the last.

    Source: Zhao et al. 2023 (arXiv 2302.04867), algorithms 5 and 6 (predicting the data), with
    the weights as in diffusers' UniPCMultistepScheduler.
    """
    path = log_snr_path(schedule, times)
    tracer = Tracer(path.nfe)
    x = tracer.start()  # corrected where the network has been asked, else predicted
    predictions: list[Tensor] = []
    linear = x
    for n in range(path.nfe):
        x, prediction = tracer.ask(x)
        if n > 0 and _can_correct(path, n - 1, variant):
            order_before = path.order(n - 1, order)
            linear = tracer.from_new_origin(linear)
            x = linear + _gain(path, n - 1, order_before, variant, predictions, prediction)
        predictions.append(prediction)
        linear = path.carry[n] * x
        x = linear + _gain(path, n, path.order(n, order), variant, predictions)
    return path.coefficients(tracer.finish(x))


def _can_correct(path: LogSnrPath, n: int, variant: Variant) -> bool:
    """bh1 weighs the corrector by h, which is infinite on the step out of alpha = 0."""
    return variant is Variant.BH2 or path.is_finite(n)


def _gain(
    path: LogSnrPath,
    n: int,
    order: int,
    variant: Variant,
    predictions: list[Tensor],
    arrived: Tensor | None = None,
) -> Tensor:
    """alpha' int e^{lambda - lambda'} D dlambda over step n.

    predictions  D_0 .. D_n
    arrived      D_{n+1}: with it the corrector, without it the predictor
    """
    # Predictions at lambda = -inf are infinitely far: their divided differences are zero.
    older = [n - k for k in range(1, order) if path.is_finite(n - k)]
    ratios = [(path.log_snr[j] - path.log_snr[n]) / path.rise[n] for j in older]
    slopes = [(predictions[j] - predictions[n]) / r for j, r in zip(older, ratios, strict=True)]
    num_unknowns = order - 1
    if arrived is not None:
        ratios.append(torch.ones_like(path.rise[n]))
        slopes.append(arrived - predictions[n])
        num_unknowns = order
    constant = path.gain[n] * predictions[n]
    if not slopes:
        return constant
    if num_unknowns == 1:
        return constant + 0.5 * _b(path, n, variant) * slopes[0]
    return constant + path.alpha_rise(n) * (_weights(path, n, ratios) @ torch.stack(slopes))


def _b(path: LogSnrPath, n: int, variant: Variant) -> Tensor:
    """alpha' B(h) of step n."""
    return path.gain[n] if variant is Variant.BH2 else path.alpha_rise(n)


def _weights(path: LogSnrPath, n: int, ratios: list[Tensor]) -> Tensor:
    """rho B(h) / h, from sum_k rho_k r_k^{i-1} B(h) / h = i! phi_{i+1}(-h), i = 1 .. len(ratios).

    B(h) drops out.
    """
    size = range(1, len(ratios) + 1)
    powers = torch.stack([torch.stack(ratios) ** (i - 1) for i in size])
    moments = torch.stack([math.factorial(i) * path.phi(i + 1, n) for i in size])
    return torch.linalg.solve(powers, moments)
