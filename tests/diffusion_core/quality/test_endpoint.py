"""Distances from converged solutions, against torchmetrics and by hand."""

import math

import pytest
import torch
from torchmetrics.image import PeakSignalNoiseRatio

from diffusion_core.quality import endpoint_rmse, psnr, squared_errors


def test_psnr_equals_torchmetrics_on_clipped_images() -> None:
    generator = torch.Generator().manual_seed(0)
    converged = 2 * torch.rand((5, 3, 8, 8), generator=generator, dtype=torch.float64) - 1
    samples = converged + 0.3 * torch.randn((5, 3, 8, 8), generator=generator, dtype=torch.float64)
    assert samples.abs().max() > 1
    oracle = PeakSignalNoiseRatio(data_range=(-1.0, 1.0))
    assert psnr(samples, converged) == pytest.approx(float(oracle(samples, converged)), rel=1e-6)


def test_psnr_of_a_constant_difference() -> None:
    assert psnr(torch.full((2, 3, 4, 4), 0.2), torch.zeros(2, 3, 4, 4)) == pytest.approx(20)


def test_what_a_png_clips_makes_no_difference() -> None:
    assert psnr(torch.full((1, 3, 2, 2), 7.0), torch.full((1, 3, 2, 2), 1.0)) == math.inf


def test_the_rmse_is_the_root_of_the_mean_of_every_images_error() -> None:
    samples = torch.randn((4, 3, 5, 5), generator=torch.Generator().manual_seed(1))
    converged = torch.zeros_like(samples)
    each = [endpoint_rmse(image, zero) for image, zero in zip(samples, converged, strict=True)]
    assert squared_errors(samples, converged).sqrt().tolist() == pytest.approx(each)
    whole = math.sqrt(sum(error**2 for error in each) / 4)
    assert endpoint_rmse(samples, converged) == pytest.approx(whole)
