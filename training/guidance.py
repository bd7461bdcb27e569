"""Measure the trained model at several guidance scales; the best Fréchet distance is the default.

Every scale starts from the same noises, so that the scales differ by guidance alone.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from diffusion_core.networks.dit import DiT
from diffusion_core.quality import (
    FeatureStatistics,
    Judge,
    Quality,
    accuracy_interval,
    load_classifier,
)
from training.bundle import load_generator
from training.checkpoint import load_average, write_atomically
from training.classifier import JUDGE, REPORT
from training.generator import CHECKPOINT
from training.glyphs import CLASSES, load_masks
from training.paths import FIGURES, MASKS
from training.sampling import sample
from training.statistics import STATISTICS, renderings

SCALES = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5)
NUM_STEPS = 50
ORDER = 4
BATCH_SIZE = 72
HELD_OUT_SEED = 5


def measure_guidance(per_class: int, scales: tuple[float, ...]) -> None:
    """Sample every class `per_class` times at each scale; write the figures."""
    judge = Judge(load_classifier(JUDGE, len(CLASSES)), FeatureStatistics.load(STATISTICS))
    network = load_generator()
    count = per_class * len(CLASSES)
    rows = {}
    for scale in scales:
        quality = judge.measure(
            track(samples(network, count, scale), f"guidance {scale}", count // BATCH_SIZE)
        )
        rows[scale] = quality
        print(f"guidance {scale}: {asdict(quality)}")
    real = judge.measure(renderings(load_masks(MASKS).select(True), count, HELD_OUT_SEED))
    seen = judge.measure(renderings(load_masks(MASKS).select(False), count, HELD_OUT_SEED))
    _, progress = load_average(CHECKPOINT)
    training = {"steps": progress.step, "minutes": round(progress.seconds / 60, 1)}
    figures = report(rows, {"held_out_fonts": real, "training_fonts": seen}, training)
    write_atomically((json.dumps(figures, indent=2) + "\n").encode(), FIGURES)
    print(json.dumps(figures, indent=2))


def samples(network: DiT, count: int, scale: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Class-balanced batches of samples and the classes asked for; noises follow a fixed seed."""
    generator = torch.Generator().manual_seed(6)
    for start in range(0, count, BATCH_SIZE):
        asked = torch.arange(start, min(start + BATCH_SIZE, count)) % len(CLASSES)
        noise = torch.randn((len(asked), 3, 32, 32), generator=generator)
        yield sample(network, noise, asked, scale, NUM_STEPS, ORDER), asked


def report(
    rows: dict[float, Quality], real: dict[str, Quality], training: dict[str, Any]
) -> dict[str, Any]:
    """The figures with all that they mean: how, of what, where and when they were measured."""
    best = min(rows, key=lambda scale: rows[scale].frechet_distance)
    return {
        "what": f"glyphs, Adams-Bashforth {ORDER}, {NUM_STEPS} steps, same noises at every scale",
        "default_guidance_scale": best,
        "guidance": [{"guidance_scale": s, **described(q)} for s, q in rows.items()],
        "real_glyphs": {name: described(quality) for name, quality in real.items()},
        "judge": json.loads(REPORT.read_text()),
        "training": training,
        "machine": "2-core AMD EPYC, no GPU",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m"),
    }


def described(quality: Quality) -> dict[str, Any]:
    low, high = accuracy_interval(quality.class_accuracy, quality.count)
    return {**asdict(quality), "class_accuracy_95": [round(low, 4), round(high, 4)]}
