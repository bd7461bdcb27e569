"""Whether a search fits into memory: asked before it begins, not after its budget is spent."""

import math
from dataclasses import replace

import torch
from torch import nn

from diffusion_core.host import give_back_freed_memory
from diffusion_core.memory import available_memory, forget_allocations, in_words
from diffusion_core.networks.packed import transposed_bytes

from ..errors import SearchRefused
from .activations import KEPT_BYTES
from .problem import Problem
from .recipe import Recipe

STATES = 4  # of every step, beside the network's activations: states, what it is asked, predictions


def thrifty(recipe: Recipe, problem: Problem, steps: int) -> Recipe:
    """With activations computed again where those of all steps are too many to be kept.

    The same on every machine: what an iteration costs must not depend on where a search goes on.
    """
    rows = recipe.batch_size * problem.rows_per_sample
    is_too_much = rows * steps * problem.row_bytes > KEPT_BYTES
    return replace(recipe, rematerialise=recipe.rematerialise or is_too_much)


def needed_bytes(recipe: Recipe, problem: Problem, steps: int) -> int:
    """What an iteration takes at least, beside the network."""
    rows = recipe.batch_size * problem.rows_per_sample
    held = min(rows, problem.rows_in_part or rows) if recipe.rematerialise else rows * steps
    state = math.prod(problem.latent_shape) * torch.float32.itemsize
    states = STATES * recipe.batch_size * steps * state
    network = problem.network
    transposed = transposed_bytes(network) if isinstance(network, nn.Module) else 0
    return held * problem.row_bytes + states + transposed


def check_room(recipe: Recipe, problem: Problem, steps: int) -> None:
    """Raises SearchRefused where an iteration cannot fit."""
    forget_allocations()
    give_back_freed_memory()
    free = available_memory(problem.device)
    needed = needed_bytes(recipe, problem, steps)
    if free is not None and needed > free:
        raise SearchRefused(
            f"a search of {steps} steps needs at least {in_words(needed)} of memory beside the "
            f"network, {in_words(free)} are free on {problem.device}"
        )
