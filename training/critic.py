"""Train the critic that searches descend, and take its reference statistics."""

import json

import torch
from rich.progress import track
from safetensors.torch import save

from diffusion_core.files import write_atomically
from diffusion_core.networks.critic import NUM_FEATURES, GlyphCritic
from diffusion_core.quality import FeatureStatistics
from training.classifier import fit_classifier, measure
from training.glyphs import CLASSES, load_masks
from training.paths import BUNDLE, MASKS
from training.statistics import BATCH_SIZE, renderings

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
    statistics = FeatureStatistics.empty(NUM_FEATURES)
    batches = renderings(masks.select(held_out=False), NUM_REFERENCE, REFERENCE_SEED)
    with torch.inference_mode():
        for images, _ in track(batches, "statistics", total=NUM_REFERENCE // BATCH_SIZE):
            statistics += FeatureStatistics.of(critic.features(images))
    write_atomically(save(critic.state_dict()), CRITIC)
    write_atomically(statistics.to_bytes(), STATISTICS)
    report = {
        "training_fonts": measure(critic, masks.select(held_out=False))["accuracy"],
        "held_out_fonts": measure(critic, masks.select(held_out=True))["accuracy"],
    }
    print(json.dumps(report, indent=2))
