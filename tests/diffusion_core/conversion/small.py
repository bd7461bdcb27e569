"""Published families with networks that tests can afford."""

import dataclasses

import torch

from diffusion_core.card import Architecture, DiTArchitecture, FlowDCNArchitecture
from diffusion_core.families import Family, get_family

SMALL_DIT = DiTArchitecture(
    network="dit", input_size=8, patch_size=2, in_channels=4, hidden_size=16, depth=2,
    num_heads=2, num_classes=1000, learn_sigma=True,
)  # fmt: skip
SMALL_FLOWDCN = FlowDCNArchitecture(
    network="flowdcn", input_size=8, patch_size=2, in_channels=4, hidden_size=16, depth=2,
    num_groups=2, num_classes=1000, learn_sigma=True,
)  # fmt: skip


def small(name: str) -> Family:
    """A published family, with a network that tests can afford."""
    family = get_family(name)
    shrunk = SMALL_FLOWDCN if name.startswith("flowdcn") else SMALL_DIT
    return dataclasses.replace(family, architecture=shrunk)


def trained(architecture: Architecture, std: float = 0.2) -> torch.nn.Module:
    """A network with random parameters: a fresh one answers zero."""
    network = architecture.build()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        if name != "pos_embed":
            parameter.data.normal_(std=std, generator=generator)
    return network.eval()
