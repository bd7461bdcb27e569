"""Where every image starts: noise that follows from its seed alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def initial_noise(seed: int, shape: Sequence[int]) -> Tensor:
    """Standard normal (C, H, W) float32 from the image's own generator.

    Drawn on the CPU, so that a seed starts from the same noise on every device; by Philox, because
    torch's CPU generator keeps only the low 32 bits of a seed.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    return torch.from_numpy(generator.standard_normal(tuple(shape), dtype=np.float32))
