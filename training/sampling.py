"""Samples of a generator, through the very tables and updates that are served."""

import torch
from torch import Tensor, nn

from diffusion_core import program
from diffusion_core.classic import classical_table

from .glyphs import CLASSES
from .siblings import CHANNELS, Sibling


@torch.inference_mode()
def sample(
    sibling: Sibling,
    network: nn.Module,
    noise: Tensor,
    labels: Tensor,
    guidance_scale: float,
    steps: int,
    solver: str | None = None,
) -> Tensor:
    """Draw one image for each label; without a solver, by the model's default one.

    noise    (B, C, H, W)  float32
    labels   (B,)          int64
    Returns  (B, C, H, W)  float32
    """
    kind = sibling.kind
    table = classical_table(solver or sibling.default_solver, kind.schedule, steps)
    guidance = None
    if guidance_scale != 1:
        guidance = program.Guidance.of_all(guidance_scale, len(labels), len(CLASSES), CHANNELS)
    return program.sample(network, program.compile_program(table, kind), noise, labels, guidance)
