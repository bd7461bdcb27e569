"""Noise by seed."""

import torch

from diffusion_core.noise import initial_noise


def test_the_same_seed_draws_the_same_noise_and_the_next_seed_another() -> None:
    first, again = initial_noise(7, (3, 8, 8)), initial_noise(7, (3, 8, 8))
    assert torch.equal(first, again)
    for other in (8, 7 + 2**32, 2**53 - 1):  # all 53 bits of a seed count
        assert not torch.equal(first, initial_noise(other, (3, 8, 8)))


def test_noise_is_standard_normal() -> None:
    noise = torch.stack([initial_noise(seed, (3, 8, 8)) for seed in range(500)])
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01
