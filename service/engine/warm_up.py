"""How many network rows a forward should have, measured before the first request."""

import time

import torch

from diffusion_core.model import LoadedModel

ROW_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CPU_ROW_COUNTS = ROW_COUNTS[:6]
GOOD_ENOUGH = 0.95  # of the best rate: fewer rows a forward means earlier answers
REPEATS = 3


def best_row_count(model: LoadedModel) -> int:
    """The smallest row count whose rate is within 5 % of the best one seen."""
    counts = CPU_ROW_COUNTS if model.device.type == "cpu" else ROW_COUNTS
    rates = {rows: rows / forward_seconds(model, rows) for rows in counts}
    best = max(rates.values())
    return min(rows for rows, rate in rates.items() if rows > 1 and rate >= GOOD_ENOUGH * best)


def forward_seconds(model: LoadedModel, rows: int) -> float:
    """The shortest of a few forwards of so many rows, after one that warms up."""
    with torch.inference_mode():
        forward_zeros(model, rows)
        return min(_timed_forward(model, rows) for _ in range(REPEATS))


def forward_zeros(model: LoadedModel, rows: int) -> None:
    """One forward of so many rows, whose answer nobody needs."""
    device = model.device
    x = torch.zeros(rows, *model.card.latent_shape, device=device)
    class_label = torch.zeros(rows, dtype=torch.int64, device=device)
    model.network(x, torch.zeros(rows, device=device), class_label)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _timed_forward(model: LoadedModel, rows: int) -> float:
    started = time.perf_counter()
    forward_zeros(model, rows)
    return time.perf_counter() - started
