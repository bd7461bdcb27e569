"""Measure the trained model at several guidance scales, and choose the default one.

Every scale starts from the same noises, so that the scales differ by guidance alone.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn

from benchmarks.results import Result, Target
from diffusion_core.quality import (
    FeatureStatistics,
    Judge,
    Quality,
    accuracy_interval,
    load_classifier,
)

from .bundle import load_shipped, set_guidance
from .classifier import JUDGE
from .glyphs import CLASSES, load_masks
from .paths import MASKS, RESULTS
from .sampling import sample
from .siblings import Sibling
from .statistics import STATISTICS, renderings

SCALES = (1.25, 1.3, 1.5, 1.75)
SOLVERS = {"rectified-flow": "ab4", "ddpm": "unipc-3"}  # by schedule
STEPS = 50
BATCH_SIZE = 72
HELD_OUT_SEED = 5
ALIKE = 1.05  # 540 samples tell no smaller difference


def measure_guidance(sibling: Sibling, per_class: int, scales: tuple[float, ...]) -> None:
    """Sample every class `per_class` times at each scale; write figures and card as they come."""
    reference = FeatureStatistics.load(STATISTICS)
    judge = Judge(load_classifier(JUDGE, len(CLASSES)), reference)
    network = load_shipped(sibling)
    count = per_class * len(CLASSES)
    masks = load_masks(MASKS)
    real = {
        "held_out_fonts": judge.measure(renderings(masks.select(True), count, HELD_OUT_SEED)),
        "training_fonts": judge.measure(renderings(masks.select(False), count, HELD_OUT_SEED)),
    }
    digest = sibling.digest()
    rows = measured_before(sibling, digest, count)
    for scale in scales:
        batches = samples(sibling, network, count, scale)
        num_batches = math.ceil(count / BATCH_SIZE)
        rows[scale] = judge.measure(track(batches, f"guidance {scale}", num_batches))
        print(f"guidance {scale}: {asdict(rows[scale])}", flush=True)
        result = report(sibling, rows, real, digest)
        result.write(RESULTS)
        set_guidance(sibling, result.figures["default_guidance_scale"])


def measured_before(sibling: Sibling, digest: str, count: int) -> dict[float, Quality]:
    """What is known of these very weights from as many samples: other scales may be added."""
    try:
        known = json.loads(sibling.figures.read_text())
    except FileNotFoundError:
        return {}
    parameters = known["parameters"]
    if (parameters["weights_sha256"], parameters["samples"]) != (digest, count):
        return {}
    names = [field.name for field in fields(Quality)]
    return {
        row["guidance_scale"]: Quality(**{name: row[name] for name in names})
        for row in known["samples"]["guidance"]
    }


def samples(
    sibling: Sibling, network: nn.Module, count: int, scale: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Class-balanced batches of samples and the classes asked for; noises follow a fixed seed."""
    generator = torch.Generator().manual_seed(6)
    for start in range(0, count, BATCH_SIZE):
        asked = torch.arange(start, min(start + BATCH_SIZE, count)) % len(CLASSES)
        noise = torch.randn((len(asked), 3, 32, 32), generator=generator)
        solver = SOLVERS[sibling.kind.schedule]
        yield sample(sibling, network, noise, asked, scale, STEPS, solver), asked


def report(
    sibling: Sibling, rows: dict[float, Quality], real: dict[str, Quality], digest: str
) -> Result:
    """The figures with all that they mean: how, of what, where and when they were measured."""
    best = default_scale(rows, sibling.least_accuracy)
    return Result(
        name=sibling.figures.stem,
        about="Class-balanced samples from the same noises at every guidance scale; Fréchet "
        "distance to 50,000 renderings of the training fonts, in the judge's features. Real "
        "glyphs are as many renderings as there are samples, measured alike.",
        parameters={
            "weights_sha256": digest,
            "solver": SOLVERS[sibling.kind.schedule],
            "steps": STEPS,
            "samples": rows[best].count,
        },
        figures={
            "default_guidance_scale": best,
            "class_accuracy": rows[best].class_accuracy,
            "frechet_distance": rows[best].frechet_distance,
            "held_out_fonts_frechet_distance": real["held_out_fonts"].frechet_distance,
        },
        samples={
            "guidance": [{"guidance_scale": s, **described(q)} for s, q in sorted(rows.items())],
            "real_glyphs": {name: described(quality) for name, quality in real.items()},
        },
        targets=(Target("class_accuracy", ">=", sibling.least_accuracy),),
    )


def default_scale(rows: dict[float, Quality], least_accuracy: float) -> float:
    """Of the scales that draw what they are asked for, the best by Fréchet distance.

    Of several that are as good within the noise, the one that is read best.
    """
    accurate = [scale for scale, found in rows.items() if found.class_accuracy >= least_accuracy]
    choice = accurate or list(rows)
    lowest = min(rows[scale].frechet_distance for scale in choice)
    alike = [scale for scale in choice if rows[scale].frechet_distance <= ALIKE * lowest]
    return max(alike, key=lambda scale: rows[scale].class_accuracy)


def described(quality: Quality) -> dict[str, Any]:
    """A measurement with the 95 % interval of its accuracy."""
    low, high = accuracy_interval(quality.class_accuracy, quality.count)
    return {**asdict(quality), "class_accuracy_95": [round(low, 4), round(high, 4)]}
