"""Checkpoint files in the layouts and sizes of the published ones, holding random numbers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from diffusion_core.families import Family
from diffusion_core.networks.blank import blank

from .random_weights import randomise

LAYOUTS: Mapping[str, Callable[[nn.Module], Any]] = {
    "dit": lambda network: network.state_dict(),  # as it was released
    "sit": lambda network: {"ema": network.state_dict()},
    "flowdcn": lambda network: {"optimizer_states": [{"ema": _unnamed(network)}]},
}


def write_checkpoint(family: Family, path: Path) -> int:
    """Float32, as their authors save it; returns the file's bytes. Raises OSError."""
    network = _blank(family).to_empty(device="cpu").requires_grad_(False)
    randomise(network)
    layout = LAYOUTS[family.name.partition("-")[0]]
    torch.save(layout(network), path)
    return path.stat().st_size


def num_bytes(family: Family) -> int:
    """Of its weights in float32."""
    return torch.float32.itemsize * sum(p.numel() for p in _blank(family).parameters())


def _blank(family: Family) -> nn.Module:
    with blank():
        return family.architecture.build()


def _unnamed(network: nn.Module) -> list[torch.Tensor]:
    return [parameter.data for parameter in network.parameters()]
