"""How many network rows a forward should have, measured before the first request."""

import time

import torch
from torch import Tensor

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
        x = torch.zeros(rows, *model.card.latent_shape, device=model.device)
        network_time = torch.zeros(rows, device=model.device)
        class_label = torch.zeros(rows, dtype=torch.int64, device=model.device)
        _timed(model, x, network_time, class_label)
        return min(_timed(model, x, network_time, class_label) for _ in range(REPEATS))


def _timed(model: LoadedModel, x: Tensor, network_time: Tensor, class_label: Tensor) -> float:
    started = time.perf_counter()
    model.network(x, network_time, class_label)
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter() - started
