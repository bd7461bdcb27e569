"""How a search descends: all the numbers that are neither the table's nor the client's."""

from dataclasses import dataclass

import torch
from torch import nn

from ..spec import Method, Objective
from .lion import Lion


@dataclass(frozen=True)
class Recipe:
    """Of dss-plus unless said otherwise.

    Taken from what the field and first experiments suggest; `./run bench search --plan ablation`
    leaves out one choice at a time.
    """

    batch_size: int = 16
    learning_rate: float = 0.03
    constant_sign_steps: bool = False  # Lion at a constant rate, as the paper; else Adam
    warmup: float = 0.05  # of the iterations
    max_gradient_norm: float | None = 1.0
    average_decay: float | None = 0.95  # of the parameters; None takes the last ones
    teacher_samples: int = 512
    teacher_steps: int = 32
    teacher: str | None = None  # of the paper's search: a solver instead of Euler, DDIM on vp
    mixture_weight: float = 10.0  # of the endpoint in a mixture
    class_weight: float = 20.0  # of the critic's cross entropy beside a distribution
    memory: int = 240  # samples behind the running moments of a distribution
    free: frozenset[str] = frozenset({"nodes", "rows", "carry"})  # parts beyond the paper's space
    base: str | None = None  # of the space; None takes the schedule's
    try_starts: bool = True  # published and known tables; else the base solver at uniform times
    fit_starts: bool = False  # their weights to the ODE's path, in closed form, as further starts
    rematerialise: bool = False  # also without being told so, where activations are too many

    def optimizer(self, space: nn.Module) -> torch.optim.Optimizer:
        parameters = [p for p in space.parameters() if p.requires_grad]
        if self.constant_sign_steps:
            return Lion(parameters, lr=self.learning_rate)
        return torch.optim.Adam(parameters, lr=self.learning_rate, betas=(0.9, 0.99))

    def rate(self, fraction: float) -> float:
        """The learning rate after a fraction 0..1 of the iterations."""
        if self.constant_sign_steps:
            return self.learning_rate
        warm = min(1.0, fraction / self.warmup) if self.warmup else 1.0
        cosine = 0.5 * (1.0 + torch.cos(torch.tensor(fraction * torch.pi)).item())
        return self.learning_rate * warm * max(0.01, cosine)


ENDPOINT = Recipe(fit_starts=True)
DISTRIBUTION = Recipe(batch_size=24, learning_rate=0.01)  # its gradients are noisier
PAPER = Recipe(
    batch_size=32,
    learning_rate=0.01,
    constant_sign_steps=True,
    max_gradient_norm=None,
    average_decay=None,
    teacher_steps=100,
)


def recipe_of(method: Method, objective: Objective) -> Recipe:
    """What a search descends by, unless it is told otherwise."""
    if method is Method.DSS:
        return PAPER
    return ENDPOINT if objective is Objective.ENDPOINT else DISTRIBUTION
