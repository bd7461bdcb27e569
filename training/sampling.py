"""Samples of the generator, through the very tables and updates that are served."""

import torch
from torch import Tensor

from diffusion_core import program
from diffusion_core.classic import classical_table
from diffusion_core.networks.dit import DiT
from solver_store.table import Prediction

SCHEDULE = "rectified-flow"
PREDICTION = Prediction.VELOCITY
TIME_SCALE = 1.0  # network time = t


@torch.inference_mode()
def sample(
    network: DiT, noise: Tensor, labels: Tensor, guidance_scale: float, solver: str, steps: int
) -> Tensor:
    """Draw one image for each label.

    noise    (B, C, H, W)  float32
    labels   (B,)          int64
    Returns  (B, C, H, W)  float32
    """
    table = classical_table(solver, SCHEDULE, steps)
    kind = program.NetworkKind(SCHEDULE, PREDICTION, TIME_SCALE)
    guidance = None
    if guidance_scale != 1:
        sizes = network.config
        guidance = program.Guidance.of_all(
            guidance_scale, len(labels), sizes.num_classes, sizes.in_channels
        )
    return program.sample(network, program.compile_program(table, kind), noise, labels, guidance)
