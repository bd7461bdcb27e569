"""A tiny model on disk, and what an engine should make of a request."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from diffusion_core.decoder import to_uint8
from diffusion_core.model import LoadedModel, ModelFolder
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, sample
from service.engine.requests import ImageRequest, Pixels

TINY_SIZES = {
    "network": "dit",
    "input_size": 8,
    "patch_size": 4,
    "in_channels": 3,
    "hidden_size": 16,
    "depth": 1,
    "num_heads": 2,
    "num_classes": 4,
}


def write_tiny_model(root: Path, name: str = "tiny") -> ModelFolder:
    """A DiT of some 10,000 random parameters that draws 8x8 pixels, saved under root/name."""
    folder = root / name
    folder.mkdir(parents=True)
    card = {
        "name": name,
        "title": "A tiny network with random weights",
        "architecture": TINY_SIZES,
        "schedule": "rectified-flow",
        "prediction": "velocity",
        "time_scale": 1.0,
        "latent_shape": [3, 8, 8],
        "classes": ["a", "b", "c", "d"],
        "null_class": 4,
        "guided_channels": 3,
        "default_guidance_scale": 1.5,
        "default_solver": "ab2",
        "decoder": "pixels",
        "weights": "model.safetensors",
        "licence": "none",
        "source": "random numbers",
    }
    (folder / "card.json").write_text(json.dumps(card))
    model = ModelFolder.read(folder)
    network = model.card.architecture.build()
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        # Every parameter: a freshly initialised DiT answers zero.
        parameter.data.normal_(std=0.2, generator=generator)
    save_file(network.state_dict(), folder / "model.safetensors")
    return model


def alone(model: LoadedModel, request: ImageRequest) -> Pixels:
    """The image that a request asks for, by the plain sampling loop, by itself."""
    card = model.card
    guidance = None
    if request.rows == 2:
        channels = request.guided_channels or card.guided_channels
        guidance = Guidance.of_all(request.guidance_scale, 1, card.null_class, channels)
    noise = initial_noise(request.seed, card.latent_shape).unsqueeze(0)
    label = torch.tensor([request.class_label])
    with torch.inference_mode():
        latents = sample(model.network, request.program, noise, label, guidance)
    return to_uint8(latents)[0].numpy()
