"""How many network rows a forward should have, measured before the first request."""

import logging
import time
from collections.abc import Callable

import torch

from diffusion_core.errors import ModelTooLarge
from diffusion_core.memory import forget_allocations, is_out_of_memory
from diffusion_core.model import LoadedModel

logger = logging.getLogger(__name__)

ROW_COUNTS = (2, 4, 8, 16, 32, 64, 128, 256)  # from what a guided picture takes
CPU_ROW_COUNTS = ROW_COUNTS[:5]
GOOD_ENOUGH = 0.95  # of the best rate: fewer rows a forward means earlier answers
REPEATS = 3
LONG_S = 0.5  # after a forward so long more rows are tried only while they pay
LAST_S = 2.0  # one so long is seen once, and no more rows are tried

TimeForward = Callable[[LoadedModel, int], float]  # seconds of a forward of so many rows


def timed_forward(model: LoadedModel, rows: int) -> float:
    """Seconds that a forward of so many rows takes."""
    started = time.perf_counter()
    forward_zeros(model, rows)
    return time.perf_counter() - started


def best_row_count(model: LoadedModel, time_forward: TimeForward = timed_forward) -> int:
    """The smallest row count whose rate is within 5 % of the best one seen; at least 2.

    A long forward may be that of a small network on cores that others use just now, where all row
    counts take as long: so it is not the last.

    Raises ModelTooLarge where memory runs out already at 2 rows.
    """
    counts = CPU_ROW_COUNTS if model.device.type == "cpu" else ROW_COUNTS
    rates: dict[int, float] = {}
    for rows in counts:
        seconds = _seconds_if_room(model, rows, time_forward)
        if seconds is None:
            break
        rate = rows / seconds
        pays = GOOD_ENOUGH * rate > max(rates.values(), default=0.0)
        rates[rows] = rate
        if seconds > LAST_S or (seconds > LONG_S and not pays):
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
    # Only here is the error gone, whose frames hold the activations.
    forget_allocations()
    return None


def forward_seconds(
    model: LoadedModel, rows: int, time_forward: TimeForward = timed_forward
) -> float:
    """The shortest of a few forwards of so many rows, after one that warms up."""
    first = time_forward(model, rows)
    if first > LAST_S:
        return first
    return min(time_forward(model, rows) for _ in range(1 if first > LONG_S else REPEATS))


@torch.inference_mode()
def forward_zeros(model: LoadedModel, rows: int) -> None:
    """One forward of so many rows, whose answer nobody needs."""
    device = model.device
    x = torch.zeros(rows, *model.card.latent_shape, device=device)
    class_label = torch.zeros(rows, dtype=torch.int64, device=device)
    model.network(x, torch.zeros(rows, device=device), class_label)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
