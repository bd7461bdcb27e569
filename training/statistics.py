"""Reference statistics: what real glyphs look like to the judge."""

from collections.abc import Iterator

import torch
from rich.progress import track
from torch import Tensor

from diffusion_core.files import write_atomically
from diffusion_core.networks.classifier import NUM_FEATURES
from diffusion_core.quality import FeatureStatistics, Judge, load_classifier
from training.classifier import JUDGE
from training.glyphs import CLASSES, GlyphMasks, load_masks
from training.paths import BUNDLE, MASKS
from training.rendering import GlyphRenderer

STATISTICS = BUNDLE / "statistics.safetensors"
NUM_REFERENCE = 50_000
BATCH_SIZE = 500
REFERENCE_SEED = 4  # of no batch that the generator or the judge was trained on


def write_statistics() -> None:
    """Statistics of 50,000 renderings of the training fonts: the set that the model should match.

    The held-out fonts stay out: their distance to this reference is the yardstick for samples.
    """
    masks = load_masks(MASKS).select(held_out=False)
    judge = Judge(load_classifier(JUDGE, len(CLASSES)), FeatureStatistics.empty(NUM_FEATURES))
    statistics = FeatureStatistics.empty(NUM_FEATURES)
    num_batches = NUM_REFERENCE // BATCH_SIZE
    batches = renderings(masks, NUM_REFERENCE, REFERENCE_SEED)
    for images, _ in track(batches, "statistics", total=num_batches):
        statistics += FeatureStatistics.of(judge.features(images))
    write_atomically(statistics.to_bytes(), STATISTICS)
    print(f"wrote {STATISTICS}: {statistics.count} images")


def renderings(masks: GlyphMasks, count: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of images (500, 3, 32, 32) and labels, as many classes of each as divides out."""
    renderer = GlyphRenderer.of(masks)
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, count, BATCH_SIZE):
        labels = torch.arange(start, min(start + BATCH_SIZE, count)) % len(CLASSES)
        yield renderer.render(labels, generator), labels
