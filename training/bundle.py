"""Write the files that ship: the card, the averaged weights, a sheet of samples."""

import json

import torch
from safetensors.torch import load_file, save
from torch import nn

from diffusion_core.card import ModelCard
from diffusion_core.files import write_atomically
from diffusion_core.model import CARD_FILE, ModelFolder

from .checkpoint import load_average
from .glyphs import CLASSES
from .paths import BUNDLE
from .sampling import sample
from .sheet import save_sheet
from .siblings import CHANNELS, SIZE, Sibling

SHEET_SAMPLES = 8  # of each class
UNMEASURED_GUIDANCE = 1.5  # until `python -m training guidance` has found the best


def write_bundle(sibling: Sibling) -> None:
    """Replace the shipped weights and card by those of the newest checkpoint."""
    weights, progress = load_average(sibling.checkpoint)
    write_atomically(save(weights), sibling.weights)
    scale = measured_guidance(sibling)
    write_card(sibling, scale, progress.step)
    print(f"wrote {sibling.bundle} from step {progress.step}, default guidance {scale}")


def write_card(sibling: Sibling, guidance_scale: float, steps: int) -> None:
    """steps: of the training."""
    card = card_json(sibling, guidance_scale, steps)
    write_atomically(card.encode(), sibling.bundle / CARD_FILE)


def write_samples(sibling: Sibling) -> None:
    """A sheet of the shipped model: eight samples of each class, at its default guidance."""
    network = load_shipped(sibling)
    labels = torch.arange(len(CLASSES)).repeat_interleave(SHEET_SAMPLES)
    shape = (len(labels), CHANNELS, SIZE, SIZE)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(7))
    images = sample(sibling, network, noise, labels, measured_guidance(sibling), steps=50)
    save_sheet(images, 3 * SHEET_SAMPLES, sibling.bundle / "samples.png")


def load_shipped(sibling: Sibling) -> nn.Module:
    """The network with the weights that ship."""
    network = sibling.build()
    network.load_state_dict(load_file(sibling.weights))
    return network.eval().requires_grad_(False)


def measured_guidance(sibling: Sibling) -> float:
    """The guidance scale that was found best, where these weights were measured."""
    if not sibling.figures.exists():
        return UNMEASURED_GUIDANCE
    known = json.loads(sibling.figures.read_text())
    if known["parameters"]["weights_sha256"] != sibling.digest():
        return UNMEASURED_GUIDANCE
    return float(known["figures"]["default_guidance_scale"])


def set_guidance(sibling: Sibling, scale: float) -> None:
    """Make it the default one of the model that ships."""
    card = ModelFolder.read(sibling.bundle).card
    changed = card.model_copy(update={"default_guidance_scale": scale})
    write_atomically(_json(changed).encode(), sibling.bundle / CARD_FILE)


def card_json(sibling: Sibling, guidance_scale: float, steps: int) -> str:
    origin = f", from the weights of {sibling.starts_from}" if sibling.starts_from else ""
    card = ModelCard.model_validate(
        {
            "name": sibling.name,
            "title": sibling.title,
            "architecture": sibling.architecture,
            "schedule": sibling.kind.schedule,
            "prediction": sibling.kind.prediction,
            "time_scale": sibling.kind.time_scale,
            "latent_shape": sibling.latent_shape,
            "classes": tuple(CLASSES),
            "null_class": len(CLASSES),
            "guided_channels": CHANNELS,
            "default_guidance_scale": guidance_scale,
            "default_solver": sibling.default_solver,
            "published_families": sibling.published_families,
            "decoder": "pixels",
            "weights": "model.safetensors",
            "judge": _shared(sibling, "judge.safetensors"),
            "statistics": _shared(sibling, "statistics.safetensors"),
            "reference_features": _shared(sibling, "reference-features.safetensors"),
            "critic": _shared(sibling, "critic.safetensors"),
            "critic_statistics": _shared(sibling, "critic-statistics.safetensors"),
            "licence": "the licence of fewstep; no font is contained, see NOTICE.md of glyphs",
            "source": f"trained by `python -m training` for {steps:,} steps{origin}, on renderings "
            "of the fonts in that notice",
        }
    )
    return _json(card)


def _json(card: ModelCard) -> str:
    return card.model_dump_json(indent=2, exclude_none=True) + "\n"


def _shared(sibling: Sibling, file: str) -> str:
    """One data set, one judge: the files lie beside the first sibling's card."""
    return file if sibling.bundle == BUNDLE else f"../{BUNDLE.name}/{file}"
