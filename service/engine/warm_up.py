"""How many network rows a step should have, and what it takes; before the first request."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch

from diffusion_core.classic import classical_table
from diffusion_core.errors import ModelTooLarge
from diffusion_core.memory import if_room, peak_memory, synchronise
from diffusion_core.model import LoadedModel
from diffusion_core.program import compile_program

from .lanes import LaneBank, LaneStep
from .requests import ImageRequest

logger = logging.getLogger(__name__)

ROW_COUNTS = (2, 4, 8, 16, 32, 64, 128, 256)  # from what a guided picture takes
CPU_ROW_COUNTS = ROW_COUNTS[:5]
GOOD_ENOUGH = 0.97  # of the best rate: fewer rows a step means earlier answers
ROUNDS = 3  # in which all row counts are measured again
FEW, SHORT_S = 8, 0.1  # rows that are taken without a look at their rate, if a step is so short
LONG_S = 0.5  # after a step so long more rows are tried only while they pay
LAST_S = 2.0  # one so long is seen once, and no more rows are tried

T = TypeVar("T")
TimeStep = Callable[[LoadedModel, int], float]  # seconds of a step of so many rows


@torch.inference_mode()
def timed_step(model: LoadedModel, rows: int) -> float:
    """Seconds that guided lanes take to advance by a step, so many rows together.

    Not the forward alone: what comes on top of it is nearly the same for few rows and for many.
    """
    card = model.card
    table = classical_table(card.default_solver, card.schedule, steps=2)
    request = ImageRequest(
        model=card.name,
        program=compile_program(table, card.kind),
        class_label=0,
        guidance_scale=2.0,
        seed=0,
    )
    num_lanes = rows // request.rows
    bank = LaneBank(model, num_lanes)
    steps = [LaneStep(bank.admit(request), request, step=0) for _ in range(num_lanes)]
    synchronise(model.device)  # what another model left to do is no part of it
    started = time.perf_counter()
    bank.advance(steps, pad_to=0)
    return time.perf_counter() - started


def best_row_count(model: LoadedModel, time_step: TimeStep = timed_step) -> int:
    """The smallest row count whose rate is within 3 % of the best one seen; at least 2.

    But not fewer than FEW where those take a short time: on cores that others use while it is
    measured, rates say little, and few rows would hold up the server for good.

    A long step may be that of a small network on cores that others use just now, where all row
    counts take as long: so it is not the last.

    Raises ModelTooLarge where memory runs out already at 2 rows.
    """
    seconds = _measured_seconds(model, time_step)
    if not seconds:
        raise ModelTooLarge(
            f"{model.card.name} fits on {model.device}, "
            f"but a forward of {ROW_COUNTS[0]} rows does not"
        )
    rates = {rows: rows / taken for rows, taken in seconds.items()}
    best = max(rates.values())
    few = max((rows for rows in seconds if rows <= FEW and seconds[rows] <= SHORT_S), default=0)
    return max(few, min(rows for rows, rate in rates.items() if rate >= GOOD_ENOUGH * best))


def _measured_seconds(model: LoadedModel, time_step: TimeStep) -> dict[int, float]:
    """Of the shortest step, by its rows, as far as more of them may pay and have room."""
    counts = CPU_ROW_COUNTS if model.device.type == "cpu" else ROW_COUNTS
    # A model's first forward loads libraries and builds kernels, which may take longer than any.
    if _if_room(model, counts[0], time_step) is None:
        return {}
    shortest: dict[int, float] = {}
    best_rate = 0.0
    for rows in counts:
        seconds = _if_room(model, rows, partial(step_seconds, time_step=time_step))
        if seconds is None:
            break
        shortest[rows] = seconds
        pays = GOOD_ENOUGH * rows / seconds > best_rate
        best_rate = max(best_rate, rows / seconds)
        if seconds > LAST_S or (seconds > LONG_S and not pays):
            break
    # In rounds: what slows the cores for a moment then falls on all row counts alike.
    for _ in range(ROUNDS):
        for rows, seconds in shortest.items():
            if seconds <= LONG_S:
                again = _if_room(model, rows, time_step)
                shortest[rows] = min(seconds, again or seconds)
    return shortest


def working_memory(model: LoadedModel, rows: int) -> int:
    """Bytes that a forward of so many rows, or decoding a picture, takes while it lasts.

    Of more pictures nothing is said: where memory ends, the engine decodes fewer at once.
    """
    return peak_memory(lambda: if_room(partial(draw_zeros, model, rows)), model.device)


def _if_room(model: LoadedModel, rows: int, work: Callable[[LoadedModel, int], T]) -> T | None:
    """None where memory runs out."""
    done = if_room(partial(work, model, rows))
    if done is None:
        logger.warning("out of memory at %d rows of %s", rows, model.card.name)
    return done


def step_seconds(model: LoadedModel, rows: int, time_step: TimeStep = timed_step) -> float:
    """Of a step of so many rows, after one that warms up."""
    first = time_step(model, rows)
    return first if first > LAST_S else time_step(model, rows)


@torch.inference_mode()
def forward_zeros(model: LoadedModel, rows: int) -> None:
    """One forward of so many rows, whose answer nobody needs."""
    device = model.device
    x = torch.zeros(rows, *model.card.latent_shape, device=device)
    class_label = torch.zeros(rows, dtype=torch.int64, device=device)
    model.network(x, torch.zeros(rows, device=device), class_label)
    synchronise(device)


@torch.inference_mode()
def draw_zeros(model: LoadedModel, rows: int) -> None:
    """A forward of so many rows, and a picture decoded, that nobody needs."""
    forward_zeros(model, rows)
    model.decoder(torch.zeros(1, *model.card.latent_shape, device=model.device))
    synchronise(model.device)
