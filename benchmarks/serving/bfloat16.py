"""Whether bfloat16 pays on this processor, and what it does to the pictures."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt
import torch

from diffusion_core.model import LoadedModel
from service.engine.warm_up import best_row_count, step_seconds

from .. import environment
from ..processes import BenchmarkError
from ..results import Result, Target
from . import servers
from .offline import OfflineSampler
from .work import MAX_SEED, Item, Kind, even_parts

ABOUT = (
    "Seconds per network row in both types, in turns; and the same images in both types (state, "
    "history and t in float32 either way), compared as 8-bit pixels. It pays where both targets "
    "are met."
)
TARGETS = (
    Target("speed_up_at_engine_rows", ">=", 1.15),
    Target("psnr_db", ">=", 40.0),
)
STEPS = 8
IMAGES_PER_BATCH = 12
SEED = 3


@dataclass(frozen=True)
class Plan:
    row_counts: tuple[int, ...]
    rounds: int
    images_per_class: int


FULL = Plan(row_counts=(1, 2, 4, 8, 16, 32), rounds=7, images_per_class=4)
QUICK = Plan(row_counts=(1, 8), rounds=2, images_per_class=2)


def measure(quick: bool) -> Result:
    if not environment.cpu_has_bfloat16():
        raise BenchmarkError("not measured: this processor does not multiply bfloat16")
    plan = QUICK if quick else FULL
    models = {
        "float32": servers.bundled_model(torch.float32),
        "bfloat16": servers.bundled_model(torch.bfloat16),
    }
    engine_rows = best_row_count(models["float32"])
    row_counts = sorted({*plan.row_counts, engine_rows})
    ms_per_row = {rows: _ms_per_row(models, rows, plan.rounds) for rows in row_counts}
    at_engine_rows = ms_per_row[engine_rows]
    pixels = {name: _pixels(model, plan) for name, model in models.items()}
    return Result(
        name="serving-bfloat16",
        about=ABOUT,
        parameters={**vars(plan), "engine_rows": engine_rows, "steps": STEPS, "seed": SEED},
        figures={
            "speed_up_at_engine_rows": at_engine_rows["float32"] / at_engine_rows["bfloat16"],
            "float32_ms_per_row": at_engine_rows["float32"],
            "bfloat16_ms_per_row": at_engine_rows["bfloat16"],
            **_differences(pixels["float32"], pixels["bfloat16"]),
        },
        samples={"ms_per_row_by_rows": {str(rows): ms for rows, ms in ms_per_row.items()}},
        targets=TARGETS,
    )


def _ms_per_row(models: Mapping[str, LoadedModel], rows: int, rounds: int) -> dict[str, float]:
    """Median over rounds, the types taking turns."""
    seen: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            seen[name].append(1000 * step_seconds(model, rows) / rows)
    return {name: median(values) for name, values in seen.items()}


def _pixels(model: LoadedModel, plan: Plan) -> npt.NDArray[np.uint8]:
    """(B, H, W, 3): every class, at the model's own solver and guidance."""
    card = model.card
    kind = Kind(STEPS, card.default_guidance_scale, card.default_solver)
    chance = random.Random(SEED)
    items = [
        Item(kind, class_id, chance.randrange(MAX_SEED))
        for class_id in range(len(card.classes))
        for _ in range(plan.images_per_class)
    ]
    sampler = OfflineSampler(model)
    return np.concatenate(
        [sampler.pixels(kind, batch) for batch in even_parts(items, IMAGES_PER_BATCH)]
    )


def _differences(expected: npt.NDArray[np.uint8], given: npt.NDArray[np.uint8]) -> dict[str, float]:
    levels = np.abs(expected.astype(np.float64) - given)  # (B, H, W, 3) of 255
    squared_by_image = (levels**2).mean(axis=(1, 2, 3))  # (B,)
    return {
        "images": len(levels),
        "psnr_db": psnr_db(float(squared_by_image.mean())),
        "worst_image_psnr_db": psnr_db(float(squared_by_image.max())),
        "mean_difference_levels": float(levels.mean()),
        "max_difference_levels": float(levels.max()),
    }


def psnr_db(mean_squared_levels: float) -> float:
    """Of pictures with 256 levels; 100 at most, which stands for equality."""
    if mean_squared_levels == 0:
        return 100.0
    return min(100.0, 10 * math.log10(255**2 / mean_squared_levels))
