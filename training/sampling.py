"""A small Adams-Bashforth sampler for looking at a model while it trains.

Serving and search use diffusion_core; training needs only one method on one schedule, and must not
change when the solvers do.
"""

import torch
from torch import Tensor

from diffusion_core.networks.dit import DiT

# Newest velocity first; sum 1. Order k needs k velocities, so the first steps run at lower order.
ADAMS_BASHFORTH = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


@torch.inference_mode()
def sample(
    network: DiT,
    noise: Tensor,
    labels: Tensor,
    guidance_scale: float,
    num_steps: int,
    order: int,
) -> Tensor:
    """Integrate the guided velocity from noise (t = 0) to data (t = 1) in uniform steps.

    noise    (B, C, H, W)  float32
    labels   (B,)          int64
    Returns  (B, C, H, W)  float32
    """
    x = noise
    history: list[Tensor] = []
    for step in range(num_steps):
        velocity = guided_velocity(network, x, step / num_steps, labels, guidance_scale)
        history = [velocity, *history[: order - 1]]
        weights = ADAMS_BASHFORTH[len(history)]
        slope = torch.stack([w * v for w, v in zip(weights, history, strict=True)]).sum(0)
        x = x + slope / num_steps
    return x


def guided_velocity(
    network: DiT, x: Tensor, time: float, labels: Tensor, guidance_scale: float
) -> Tensor:
    """null + scale * (conditional - null); at scale 1 the conditional velocity alone."""
    times = torch.full((len(x),), time)
    conditional: Tensor = network(x, times, labels)
    if guidance_scale == 1:
        return conditional.float()
    null: Tensor = network(x, times, torch.full_like(labels, network.config.num_classes))
    return torch.lerp(null.float(), conditional.float(), guidance_scale)
