"""What a generator is trained to predict, and at which times.

    rectified flow   x = t data + (1 - t) noise          loss = | network(x, t) - (data - noise) |^2
    DDPM             x = alpha_n data + sigma_n noise    loss = w | network(x, n) - noise |^2

Both see the same signal-to-noise ratios equally often. An error of the noise is an error of the
velocity of 1 / t, with t = alpha / (alpha + sigma) the time at which rectified flow has that ratio;
so w = 1 / t^2, up to a bound, makes both weigh the same errors.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffusion_core.program import NetworkKind
from diffusion_core.schedule import get_schedule

LossFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

MAX_WEIGHT = 25.0  # of the noise's error, where there is hardly any data in the state


@dataclass(frozen=True)
class TimesRecipe:
    """Most times are logit-normal, where the picture is decided; some uniform, for the ends."""

    # Which letter it becomes is settled between t = 0.05 and 0.4 (at 0.5 a reader of the one-step
    # prediction is 94 % right without knowing the class), so most times are drawn there.
    centre: float = -0.8  # of the logit-normal times; their median is 0.31
    uniform_fraction: float = 0.3

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """Times (B,) of rectified flow."""
        deciding = (torch.randn(size, generator=generator) + self.centre).sigmoid()
        anywhere = torch.rand(size, generator=generator)
        is_uniform = torch.rand(size, generator=generator) < self.uniform_fraction
        return torch.where(is_uniform, anywhere, deciding)


class DiffusionLoss(nn.Module):
    """Mean squared error of what the network predicts.

    forward(images, noise, times, labels): (B, 3, H, W) images and noise, (B,) times of rectified
    flow, (B,) labels
    """

    def __init__(self, network: nn.Module, kind: NetworkKind):
        super().__init__()
        self.network = network
        self.is_flow = kind.schedule == "rectified-flow"
        self._kind = kind

    def prepare(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B,) each, float32: network time, alpha, sigma and weight at times of rectified flow."""
        if self.is_flow:
            return times, times, 1 - times, torch.ones_like(times)
        schedule = get_schedule(self._kind.schedule)
        index = schedule.time_of_log_snr(torch.logit(times.double())).round()
        index = index.clamp(0, schedule.t_noise)  # DDPM is trained on whole indices
        alpha, sigma = schedule.alpha(index).float(), schedule.sigma(index).float()
        weight = ((alpha + sigma) / alpha).square().clamp(max=MAX_WEIGHT)
        return index.float(), alpha, sigma, weight

    def forward(self, images: Tensor, noise: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        network_time, alpha, sigma, weight = (
            column[:, None, None, None] if n else column
            for n, column in enumerate(self.prepare(times))
        )
        target = images - noise if self.is_flow else noise
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = self.network(alpha * images + sigma * noise, network_time, labels)
        return (weight * (out.float() - target).square()).mean()
