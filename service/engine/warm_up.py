"""How many network rows a forward should have, measured before the first request."""

import gc
import logging
import time
from collections.abc import Callable

import torch

from diffusion_core.errors import ModelTooLarge
from diffusion_core.model import LoadedModel

from .failures import is_out_of_memory

logger = logging.getLogger(__name__)

ROW_COUNTS = (2, 4, 8, 16, 32, 64, 128, 256)  # from what a guided picture takes
CPU_ROW_COUNTS = ROW_COUNTS[:5]
GOOD_ENOUGH = 0.95  # of the best rate: fewer rows a forward means earlier answers
REPEATS = 3
LONG_S = 0.5  # a forward so long is seen once, and more rows are not tried after it

TimeForward = Callable[[LoadedModel, int], float]  # seconds of a forward of so many rows


def timed_forward(model: LoadedModel, rows: int) -> float:
    """Seconds that a forward of so many rows takes."""
    started = time.perf_counter()
    forward_zeros(model, rows)
    return time.perf_counter() - started


def best_row_count(model: LoadedModel, time_forward: TimeForward = timed_forward) -> int:
    """The smallest row count whose rate is within 5 % of the best one seen; at least 2.

    Raises ModelTooLarge where memory runs out already at 2 rows.
    """
    counts = CPU_ROW_COUNTS if model.device.type == "cpu" else ROW_COUNTS
    rates: dict[int, float] = {}
    for rows in counts:
        seconds = _seconds_if_room(model, rows, time_forward)
        if seconds is None:
            break
        rates[rows] = rows / seconds
        if seconds > LONG_S:
            break
    if not rates:
        raise ModelTooLarge(
            f"{model.card.name} fits on {model.device}, but a forward of {counts[0]} rows does not"
        )
    best = max(rates.values())
    return min(rows for rows, rate in rates.items() if rate >= GOOD_ENOUGH * best)


def _seconds_if_room(model: LoadedModel, rows: int, time_forward: TimeForward) -> float | None:
    """None where memory runs out; what the forward had taken of it is given back."""
    try:
        return forward_seconds(model, rows, time_forward)
    except Exception as error:  # torch has no one kind for it; any other goes on
        if not is_out_of_memory(error):
            raise
        logger.warning("out of memory at %d rows of %s", rows, model.card.name)
    # Only here is the error gone, whose frames hold the activations, some of them in circles.
    gc.collect()
    torch.cuda.empty_cache()
    return None


def forward_seconds(
    model: LoadedModel, rows: int, time_forward: TimeForward = timed_forward
) -> float:
    """The shortest of a few forwards of so many rows, after one that warms up."""
    first = time_forward(model, rows)
    if first > LONG_S:
        return first
    return min(time_forward(model, rows) for _ in range(REPEATS))


@torch.inference_mode()
def forward_zeros(model: LoadedModel, rows: int) -> None:
    """One forward of so many rows, whose answer nobody needs."""
    device = model.device
    x = torch.zeros(rows, *model.card.latent_shape, device=device)
    class_label = torch.zeros(rows, dtype=torch.int64, device=device)
    model.network(x, torch.zeros(rows, device=device), class_label)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
