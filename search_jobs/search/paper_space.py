"""The paper's space: softmax times and rows that sum to 1.

    time deltas = softmax(r)        M[i, j] = c[i, j] for j < i,  M[i, i] = 1 - sum_{j<i} c[i, j]

r starts at 1 (uniform times), c at 0 (Euler, DDIM). Up to six steps the last two rows keep only
the newest neighbour.

Source: Wang et al. 2025 (arXiv 2505.21114), eq. 16 and 19 and section 4.
"""

import torch
from torch import Tensor, nn

from diffusion_core.coefficients import Coefficients
from diffusion_core.paper_form import rectified_flow_coefficients, vp_coefficients

from .space import Space

FEW_STEPS = 6  # up to here the last two rows are short


class PaperSpace(Space):
    """N + N (N - 1) / 2 parameters."""

    def __init__(self, schedule: str, steps: int):
        super().__init__()
        self.schedule = schedule
        self.time_logits = nn.Parameter(torch.ones(steps, dtype=torch.float64))
        self.mixing = nn.Parameter(torch.zeros(steps, steps, dtype=torch.float64))
        self.register_buffer("free", free_weights(steps))
        self.free: Tensor

    def coefficients(self) -> Coefficients:
        time_deltas = torch.softmax(self.time_logits, dim=0)
        mixing = self.mixing * self.free
        if self.schedule == "rectified-flow":
            return rectified_flow_coefficients(time_deltas, mixing)
        return vp_coefficients(time_deltas, mixing)


def free_weights(steps: int) -> Tensor:
    """(N, N) ones where c may differ from zero."""
    free = torch.ones(steps, steps, dtype=torch.float64).tril(-1)
    if steps <= FEW_STEPS:
        newest = torch.ones(steps, steps, dtype=torch.float64).diagonal(-1).diag_embed(-1)
        free[-2:] = newest[-2:] * free[-2:]
    return free
