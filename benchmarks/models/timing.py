"""Seconds of some work on a device, also where its memory does not last."""

from collections.abc import Callable
from functools import partial
from time import perf_counter

import torch

from diffusion_core.memory import if_room, synchronise

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
    return if_room(partial(timed, work, device))
