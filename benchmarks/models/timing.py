"""Seconds of some work on a device, also where its memory does not last."""

from collections.abc import Callable
from time import perf_counter

import torch

from diffusion_core.memory import forget_allocations, is_out_of_memory, synchronise

Work = Callable[[], object]


def timed(work: Work, device: torch.device) -> float:
    """From an idle device to one that has done the work."""
    synchronise(device)
    started = perf_counter()
    work()
    synchronise(device)
    return perf_counter() - started


def timed_in_memory(work: Work, device: torch.device) -> float | None:
    """None where memory ran out; all that the work had taken is given back."""
    try:
        return timed(work, device)
    except Exception as error:  # torch has no one kind for it; any other goes on
        if not is_out_of_memory(error):
            raise
    # Only here is the error gone, whose frames hold what was made.
    forget_allocations()
    return None
