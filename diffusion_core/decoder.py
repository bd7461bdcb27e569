"""Latents -> RGB: the decoders that a model's card can name.

pixels      the model draws pixels: nothing to decode
vae         the autoencoder beside the card, diffusers' AutoencoderKL
sd-linear   an estimate for models that were added without their autoencoder: an eighth of the
            size, right in colour and composition
"""

import hashlib
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import ModelInvalid

PIXELS, VAE, SD_LINEAR = "pixels", "vae", "sd-linear"
NOT_FOR_DECODING = ("encoder", "quant_conv")  # four tenths of an autoencoder's numbers


class Decoder(ABC):
    """(B, C, H, W) latents -> (B, 3, H', W') RGB in [-1, 1]."""

    images_at_once: int  # what is decoded together: so long others have to wait

    @property
    @abstractmethod
    def identity(self) -> str:
        """Names what it does to latents, weights included, in caches."""

    @abstractmethod
    def __call__(self, latents: Tensor) -> Tensor:
        """Decode, however many there are."""

    @abstractmethod
    def preview(self, latents: Tensor) -> Tensor:
        """A cheap look at pictures on their way; may be smaller."""

    @property
    def num_bytes(self) -> int:
        """What it holds on the device."""
        return 0


class PixelDecoder(Decoder):
    images_at_once = 256
    identity = PIXELS

    def __call__(self, latents: Tensor) -> Tensor:
        return latents

    def preview(self, latents: Tensor) -> Tensor:
        return latents


class LinearDecoder(Decoder):
    """Each pixel from the four numbers of its latent alone.

    Source: fitted for Stable Diffusion 1.4 by discuss.huggingface.co/t/23204, "Decoding latents to
    RGB without upscaling"; of latents at the scale at which they are diffused.
    """

    images_at_once = 256
    identity = SD_LINEAR
    RED_GREEN_BLUE = (
        (0.298, 0.207, 0.208),
        (0.187, 0.286, 0.173),
        (-0.158, 0.189, 0.264),
        (-0.184, -0.271, -0.473),
    )

    def __call__(self, latents: Tensor) -> Tensor:
        factors = torch.tensor(self.RED_GREEN_BLUE, device=latents.device)
        return torch.einsum("bchw,cr->brhw", latents.float(), factors)

    def preview(self, latents: Tensor) -> Tensor:
        return self(latents)


class VAEDecoder(Decoder):
    """Stable Diffusion's autoencoder, a slice at a time: its activations are a hundred times the
    latents'.
    """

    def __init__(self, vae: Any, device: torch.device):
        """vae: diffusers' AutoencoderKL, on its device."""
        self.images_at_once = 1 if device.type == "cpu" else 8
        self._vae = vae
        self._linear = LinearDecoder()

    @torch.no_grad()
    def __call__(self, latents: Tensor) -> Tensor:
        parts = torch.split(latents, self.images_at_once)
        return torch.cat([self._decode(part) for part in parts])

    def preview(self, latents: Tensor) -> Tensor:
        return self._linear(latents)

    @property
    def num_bytes(self) -> int:
        return sum(p.numel() * p.element_size() for p in self._vae.parameters())

    @cached_property
    def identity(self) -> str:
        digest = hashlib.sha256()
        for name, weights in sorted(self._vae.state_dict().items()):
            digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
            digest.update(weights.cpu().contiguous().flatten().view(torch.uint8).numpy())
        return f"{VAE} {digest.hexdigest()}"

    def _decode(self, latents: Tensor) -> Tensor:
        config = self._vae.config
        stored = latents / config.scaling_factor + (config.shift_factor or 0.0)
        rgb: Tensor = self._vae.decode(stored.to(self._vae.dtype), return_dict=False)[0]
        return rgb.float()


def load_decoder(name: str, vae: Path | None, device: torch.device, dtype: torch.dtype) -> Decoder:
    """The decoder of this name; `vae` is the folder of the autoencoder, where it is one.

    Raises ModelInvalid.
    """
    if name == PIXELS:
        return PixelDecoder()
    if name == SD_LINEAR:
        return LinearDecoder()
    if vae is None:
        raise ModelInvalid("the decoder vae needs a folder with an autoencoder")
    model = load_vae(vae, dtype)
    for part in NOT_FOR_DECODING:
        setattr(model, part, None)
    # Channels last: convolutions read them so, and the conversion is paid once, here.
    return VAEDecoder(model.to(device, memory_format=torch.channels_last), device)


def load_vae(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """An AutoencoderKL from a folder as diffusers writes it. Raises ModelInvalid."""
    from diffusers import AutoencoderKL  # takes seconds to import, and pixel models do without

    if not folder.is_dir():
        raise ModelInvalid(f"{folder}: no such folder; nothing is downloaded")
    if not (folder / "config.json").is_file():
        raise ModelInvalid(
            f"{folder}: no config.json: this is no autoencoder's folder of diffusers"
        )
    try:
        vae: Any = AutoencoderKL.from_pretrained(
            folder, local_files_only=True, low_cpu_mem_usage=False, torch_dtype=dtype
        )
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise ModelInvalid(f"{folder}: {error}") from error
    return vae.eval().requires_grad_(False)


def to_uint8(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8, rounded to the nearest level."""
    # + 0.5 and cut off: from 2,048 numbers on torch splits round() over its threads, and a small
    # picture then waits for another core.
    levels = rgb.float().mul(127.5).add_(128).clamp_(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
