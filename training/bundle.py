"""Write the files that ship: the card, the averaged weights, a sheet of samples."""

import json
from dataclasses import asdict
from typing import Any

import torch
from safetensors.torch import save

from diffusion_core.files import write_atomically
from diffusion_core.networks.dit import DiT
from training.checkpoint import load_average
from training.generator import CHECKPOINT, GLYPHS_CONFIG
from training.glyphs import CLASSES
from training.paths import BUNDLE, FIGURES
from training.sampling import PREDICTION, SCHEDULE, TIME_SCALE, sample
from training.sheet import save_sheet

SHEET_SAMPLES = 8  # of each class
UNMEASURED_GUIDANCE = 1.5  # until `python -m training guidance` has found the best


def write_bundle() -> None:
    """Replace the shipped card, weights and sheet by those of the newest checkpoint."""
    weights, progress = load_average(CHECKPOINT)
    write_atomically(save(weights), BUNDLE / "model.safetensors")
    scale = measured_guidance()
    write_atomically(card_json(scale).encode(), BUNDLE / "card.json")
    print(f"wrote {BUNDLE} from step {progress.step}, default guidance {scale}")


def write_samples() -> None:
    """A sheet of the shipped model: eight samples of each class, at its default guidance."""
    network = load_generator()
    labels = torch.arange(len(CLASSES)).repeat_interleave(SHEET_SAMPLES)
    noise = torch.randn((len(labels), 3, 32, 32), generator=torch.Generator().manual_seed(7))
    images = sample(network, noise, labels, measured_guidance(), solver="ab4", steps=50)
    save_sheet(images, 3 * SHEET_SAMPLES, BUNDLE / "samples.png")


def load_generator() -> DiT:
    """The network with the averaged weights of the newest checkpoint."""
    network = DiT(GLYPHS_CONFIG)
    network.load_state_dict(load_average(CHECKPOINT)[0])
    return network.eval().requires_grad_(False)


def measured_guidance() -> float:
    """The guidance scale with the lowest Fréchet distance, as far as it was measured."""
    if not FIGURES.exists():
        return UNMEASURED_GUIDANCE
    return float(json.loads(FIGURES.read_text())["figures"]["default_guidance_scale"])


def card_json(guidance_scale: float) -> str:
    size = GLYPHS_CONFIG.input_size
    card: dict[str, Any] = {
        "name": "glyphs",
        "title": "Digits and capital letters, 32x32 in colour",
        "architecture": {"network": "dit", **asdict(GLYPHS_CONFIG)},
        "schedule": SCHEDULE,
        "prediction": PREDICTION,
        "time_scale": TIME_SCALE,
        "latent_shape": [GLYPHS_CONFIG.in_channels, size, size],
        "classes": list(CLASSES),
        "null_class": GLYPHS_CONFIG.num_classes,
        "guided_channels": GLYPHS_CONFIG.in_channels,
        "default_guidance_scale": guidance_scale,
        "default_solver": "ab2",
        "decoder": "pixels",
        "weights": "model.safetensors",
        "judge": "judge.safetensors",
        "statistics": "statistics.safetensors",
        "reference_features": "reference-features.safetensors",
        "critic": "critic.safetensors",
        "critic_statistics": "critic-statistics.safetensors",
        "deterministic_rows": 8,
        "licence": "the licence of fewstep; no font is contained, see NOTICE.md",
        "source": "trained by `python -m training`, on glyphs rendered from the fonts in NOTICE.md",
    }
    return json.dumps(card, indent=2) + "\n"
