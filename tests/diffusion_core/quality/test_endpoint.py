"""Distances from converged solutions, against torchmetrics and by hand."""

import math

import pytest
import torch
from torchmetrics.image import PeakSignalNoiseRatio

from diffusion_core.quality import endpoint_rmse, psnr_of, squared_errors


def test_psnr_equals_torchmetrics() -> None:
    converged, samples = 2 * torch.rand((2, 5, 3, 8, 8), generator=torch.Generator()).double() - 1
    oracle = PeakSignalNoiseRatio(data_range=(-1.0, 1.0))
    found = psnr_of(float(squared_errors(samples, converged).mean()))
    assert found == pytest.approx(float(oracle(samples, converged)), rel=1e-6)


def test_psnr_of_a_constant_difference() -> None:
    assert psnr_of(0.2**2) == pytest.approx(20)
    assert psnr_of(0.0) == math.inf


def test_the_rmse_is_the_root_of_the_mean_of_every_images_error() -> None:
    samples = torch.randn((4, 3, 5, 5), generator=torch.Generator().manual_seed(1))
    converged = torch.zeros_like(samples)
    each = [endpoint_rmse(image, zero) for image, zero in zip(samples, converged, strict=True)]
    assert squared_errors(samples, converged).sqrt().tolist() == pytest.approx(each)
    whole = math.sqrt(sum(error**2 for error in each) / 4)
    assert endpoint_rmse(samples, converged) == pytest.approx(whole)
