"""Train the critic that searches descend, and take its reference statistics."""

import json
from collections.abc import Callable

import torch
from rich.progress import track
from safetensors.torch import save
from torch import Tensor

from diffusion_core.files import write_atomically
from diffusion_core.networks.critic import (
    NUM_DRAWN,
    NUM_FEATURES,
    NUM_PIXEL,
    NUM_POOLED,
    GlyphCritic,
    of_pixels,
)
from diffusion_core.quality import FeatureStatistics

from .classifier import fit_classifier, measure
from .glyphs import CLASSES, GlyphMasks, load_masks
from .paths import BUNDLE, MASKS
from .statistics import BATCH_SIZE, renderings

CRITIC = BUNDLE / "critic.safetensors"
STATISTICS = BUNDLE / "critic-statistics.safetensors"
NUM_REFERENCE = 20_000
WEIGHTS_SEED, TRAINING_SEED, REFERENCE_SEED = 7, 8, 9  # none that the judge has seen


def train_critic(steps: int) -> None:
    """Train, measure on both sets of fonts, and write weights and statistics."""
    masks = load_masks(MASKS)
    torch.manual_seed(WEIGHTS_SEED)
    critic = GlyphCritic(len(CLASSES))
    fit_classifier(critic, masks.select(held_out=False), steps, TRAINING_SEED)
    settle(critic, masks.select(held_out=False))
    report = {
        "training_fonts": measure(critic, masks.select(held_out=False))["accuracy"],
        "held_out_fonts": measure(critic, masks.select(held_out=True))["accuracy"],
    }
    print(json.dumps(report, indent=2))


def settle(critic: GlyphCritic, masks: GlyphMasks) -> None:
    """Find the components of a trained critic and its statistics, and write all of it."""
    pixels = statistics_of(of_pixels, masks, NUM_PIXEL)
    critic.pixel_mean.copy_(pixels.mean)
    critic.pixel_deviation.copy_(pixels.covariance.diagonal().sqrt())
    pooled = statistics_of(critic.pooled, masks, NUM_POOLED)
    critic.pooled_mean.copy_(pooled.mean)
    critic.components.copy_(principal_components(pooled.covariance, NUM_DRAWN))
    statistics = statistics_of(critic.features, masks, NUM_FEATURES)
    write_atomically(save(critic.state_dict()), CRITIC)
    write_atomically(statistics.to_bytes(), STATISTICS)


def statistics_of(
    features: Callable[[Tensor], Tensor], masks: GlyphMasks, size: int
) -> FeatureStatistics:
    """Of 20,000 renderings."""
    statistics = FeatureStatistics.empty(size)
    batches = renderings(masks, NUM_REFERENCE, REFERENCE_SEED)
    with torch.inference_mode():
        for images, _ in track(batches, "statistics", total=NUM_REFERENCE // BATCH_SIZE):
            statistics += FeatureStatistics.of(features(images))
    return statistics


def principal_components(covariance: Tensor, count: int) -> Tensor:
    """(D, count) the directions in which standardised variables with this (D, D) vary most."""
    deviations = covariance.diagonal().sqrt()
    _, directions = torch.linalg.eigh(covariance / torch.outer(deviations, deviations))
    return directions[:, -count:] / deviations[:, None]
