"""Published families with networks that tests can afford."""

import dataclasses
from typing import Any

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


def small_diffusers() -> Any:
    """diffusers' own transformer in the sizes of SMALL_DIT, with random parameters."""
    from diffusers import DiTTransformer2DModel  # takes seconds, and most of us do without

    network = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2,
        sample_size=8, patch_size=2, num_embeds_ada_norm=1000, norm_eps=1e-6,
    )  # fmt: skip
    for parameter in network.parameters():
        parameter.data.normal_(std=0.2, generator=torch.Generator().manual_seed(3))
    return network.eval()  # in training it drops labels


def trained(architecture: Architecture, std: float = 0.2) -> torch.nn.Module:
    """A network with random parameters: a fresh one answers zero."""
    network = architecture.build()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        if name != "pos_embed":
            parameter.data.normal_(std=std, generator=generator)
    return network.eval()
