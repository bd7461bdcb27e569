"""Networks of full size without a checkpoint: what time and memory they take does not need one."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

from diffusion_core.families import Family
from diffusion_core.networks.blank import blank
from diffusion_core.networks.packed import can_pack, pack_linear_layers

SD_CHANNELS = (128, 256, 512, 512)  # of Stable Diffusion's autoencoder


def random_network(family: Family, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A family's network as it is served: frozen, packed, never held in another dtype than this."""
    with blank():
        network = family.architecture.build()
    network = network.to(dtype).to_empty(device=device).eval().requires_grad_(False)
    randomise(network)
    if can_pack(device, dtype):
        pack_linear_layers(network, dtype)
    return network


def randomise(network: nn.Module) -> None:
    """Small random numbers everywhere: a fresh network answers zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        values = torch.empty(parameter.shape, dtype=torch.float32)
        parameter.data.copy_(values.normal_(std=0.02, generator=generator))


def random_autoencoder(channels: Sequence[int], device: torch.device, dtype: torch.dtype) -> Any:
    """Stable Diffusion's, of these widths."""
    vae: Any = AutoencoderKL(
        block_out_channels=tuple(channels),
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=2,
        latent_channels=4,
    )
    return vae.to(device, dtype, memory_format=torch.channels_last).eval().requires_grad_(False)
