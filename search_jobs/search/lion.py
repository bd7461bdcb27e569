"""Lion: steps of one size in the sign of a momentum.

Source: Chen et al., "Symbolic discovery of optimization algorithms" (2023), algorithm 2.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class Lion(torch.optim.Optimizer):
    """Without weight decay, as Differentiable Solver Search uses it."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, betas: tuple[float, float] = (0.9, 0.99)
    ):
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # takes no closure
        for group in self.param_groups:
            beta_1, beta_2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum: Tensor = state["momentum"]
                direction = momentum.lerp(parameter.grad, 1 - beta_1).sign()
                parameter.add_(direction, alpha=-group["lr"])
                momentum.lerp_(parameter.grad, 1 - beta_2)
