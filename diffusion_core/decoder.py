"""Latent -> RGB."""

from typing import Protocol

import torch
from torch import Tensor

from .errors import ModelInvalid


class Decoder(Protocol):
    """(B, C, H, W) latents -> (B, 3, H', W') RGB in [-1, 1]."""

    def __call__(self, latents: Tensor, /) -> Tensor: ...


def pixels(latents: Tensor) -> Tensor:
    """The decoder of models that draw pixels: nothing to decode."""
    return latents


_DECODERS: dict[str, Decoder] = {"pixels": pixels}


def get_decoder(name: str) -> Decoder:
    """Raises ModelInvalid for an unknown name."""
    if name not in _DECODERS:
        known = ", ".join(_DECODERS)
        raise ModelInvalid(f"decoder must be one of {known}, got {name!r}")
    return _DECODERS[name]


def to_uint8(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8, rounded to the nearest level."""
    # + 0.5 and cut off: from 2,048 numbers on torch splits round() over its threads, and a small
    # picture then waits for another core.
    levels = rgb.float().mul(127.5).add_(128).clamp_(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
