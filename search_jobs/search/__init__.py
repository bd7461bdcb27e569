"""Differentiable solver search: gradient descent through the sampling loop, the network frozen.

    Problem -> starts -> Space -> Objective -> Descent -> SolverTable

    found = search(Problem(network, kind, (4, 32, 32), num_classes=1000), steps=8)
    found.table           # Descended also has the loss and the cost

Source: Wang et al., "Differentiable Solver Search for Fast Diffusion Sampling" (arXiv 2505.21114),
and what the field has added since; each module names its own.
"""

from .descent import Descended, Step, Watch
from .door import search
from .objectives import Critic
from .problem import Problem
from .recipe import Recipe, recipe_of
from .shard import Shard

__all__ = [
    "Critic",
    "Descended",
    "Problem",
    "Recipe",
    "Shard",
    "Step",
    "Watch",
    "recipe_of",
    "search",
]
