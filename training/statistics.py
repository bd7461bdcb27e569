"""Reference statistics: what real glyphs look like to the judge."""

import math
from collections.abc import Iterator

import torch
from rich.progress import track
from torch import Tensor

from diffusion_core.files import write_atomically
from diffusion_core.networks.classifier import NUM_FEATURES
from diffusion_core.quality import FeatureStatistics, Judge, load_classifier, save_features

from .classifier import JUDGE
from .glyphs import CLASSES, GlyphMasks, load_masks
from .paths import BUNDLE, MASKS
from .rendering import GlyphRenderer

STATISTICS = BUNDLE / "statistics.safetensors"
FEATURES = BUNDLE / "reference-features.safetensors"
NUM_REFERENCE = 50_000
NUM_FEATURES_SHIPPED = 4_000  # a megabyte
BATCH_SIZE = 500
REFERENCE_SEED = 4  # of no batch that the generator or the judge was trained on


def write_statistics() -> None:
    """Statistics of 50,000 renderings of the training fonts: the set that the model should match.

    The held-out fonts stay out: their distance to this reference is the yardstick for samples.
    """
    statistics = FeatureStatistics.empty(NUM_FEATURES)
    for features in reference_features(NUM_REFERENCE):
        statistics += FeatureStatistics.of(features)
    write_atomically(statistics.to_bytes(), STATISTICS)
    print(f"wrote {STATISTICS}: {statistics.count} images")


def write_reference_features() -> None:
    """Features of the first 4,000 of those renderings, which precision and recall look among."""
    features = torch.cat(list(reference_features(NUM_FEATURES_SHIPPED)))
    write_atomically(save_features(features), FEATURES)
    print(f"wrote {FEATURES}: {len(features)} images")


def reference_features(count: int) -> Iterator[Tensor]:
    """Batches of features (500, 128) of renderings of the training fonts."""
    masks = load_masks(MASKS).select(held_out=False)
    judge = Judge(load_classifier(JUDGE, len(CLASSES)), FeatureStatistics.empty(NUM_FEATURES))
    batches = renderings(masks, count, REFERENCE_SEED)
    for images, _ in track(batches, "renderings", total=math.ceil(count / BATCH_SIZE)):
        yield judge.features(images)


def renderings(masks: GlyphMasks, count: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of images (500, 3, 32, 32) and labels, as many classes of each as divides out."""
    renderer = GlyphRenderer.of(masks)
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, count, BATCH_SIZE):
        labels = torch.arange(start, min(start + BATCH_SIZE, count)) % len(CLASSES)
        yield renderer.render(labels, generator), labels
