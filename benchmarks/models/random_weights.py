"""Networks of full size without a checkpoint: what time and memory they take does not need one."""

import torch
from torch import nn

from diffusion_core.families import Family
from diffusion_core.networks.blank import blank
from diffusion_core.networks.packed import pack_linear_layers


def random_network(family: Family, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A family's network as it is served: frozen, packed, never held in another dtype than this."""
    with blank():
        network = family.architecture.build()
    network = network.to(dtype).to_empty(device=device).eval().requires_grad_(False)
    randomise(network)
    pack_linear_layers(network)
    return network


def randomise(network: nn.Module) -> None:
    """Small random numbers everywhere: a fresh network answers zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        values = torch.empty(parameter.shape, dtype=torch.float32)
        parameter.data.copy_(values.normal_(std=0.02, generator=generator))
