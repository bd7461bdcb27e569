"""What the class-conditional latent networks share, under the official parameter names.

Latents become patches and patches latents again; time and class become the condition, which shifts
and scales what the blocks see. What lies between, the blocks, is each network's own.

Source: Peebles & Xie, "Scalable Diffusion Models with Transformers" (2023); FlowDCN keeps the same.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TIME_EMBEDDING_SIZE = 256
MAX_PERIOD = 10_000.0
Activation = Literal["gelu", "silu"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
}


def check_patches(input_size: int, patch_size: int) -> None:
    """Raises ValueError where patches do not cover the latent."""
    if input_size % patch_size:
        raise ValueError(f"input_size {input_size} must be a multiple of patch_size {patch_size}")


class PatchEmbed(nn.Module):
    def __init__(self, patch_size: int, in_channels: int, hidden_size: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, hidden_size, patch_size, patch_size)

    def initialize_weights(self) -> None:
        """As for a linear layer over the patch, and not for a convolution."""
        nn.init.xavier_uniform_(self.proj.weight.view(self.proj.weight.shape[0], -1))
        assert self.proj.bias is not None
        nn.init.zeros_(self.proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, T, D), T = (H / patch_size) * (W / patch_size), row by row."""
        return self.proj(x.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2)


class ActivatedLinear(nn.Linear):
    """A linear layer and the activation after it, in one module: one kernel may then do both."""

    def __init__(
        self, in_features: int, out_features: int, activation: Activation, bias: bool = True
    ):
        super().__init__(in_features, out_features, bias)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return ACTIVATIONS[self.activation](super().forward(x))


class TimestepEmbedder(nn.Module):
    def __init__(self, hidden_size: int):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(TIME_EMBEDDING_SIZE, hidden_size),
            nn.SiLU(),
            nn.Linear(hidden_size, hidden_size),
        )

    def initialize_weights(self) -> None:
        for layer in linear_layers(self):
            nn.init.normal_(layer.weight, std=0.02)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, time: Tensor) -> Tensor:
        """(B,) -> (B, D)."""
        return self.mlp(sinusoids(time).to(self.dtype))


class LabelEmbedder(nn.Module):
    """Class embeddings, with one more row for the null class."""

    def __init__(self, num_classes: int, hidden_size: int):
        super().__init__()
        self.embedding_table = nn.Embedding(num_classes + 1, hidden_size)

    def initialize_weights(self) -> None:
        nn.init.normal_(self.embedding_table.weight, std=0.02)

    def forward(self, class_label: Tensor) -> Tensor:
        """(B,) -> (B, D)."""
        return self.embedding_table(class_label)


class FinalLayer(nn.Module):
    def __init__(self, hidden_size: int, patch_size: int, out_channels: int):
        super().__init__()
        self.norm_final = nn.LayerNorm(hidden_size, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(hidden_size, patch_size * patch_size * out_channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 2 * hidden_size))

    def initialize_weights(self) -> None:
        """A fresh network answers zero."""
        for layer in linear_layers(self):
            zero(layer)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """(B, T, D), (B, D) -> (B, T, p * p * C)."""
        shift, scale = self.adaLN_modulation(condition).unsqueeze(1).chunk(2, dim=-1)
        return self.linear(modulate(self.norm_final(tokens), shift, scale))


def unpatchify(patches: Tensor, patch_size: int) -> Tensor:
    """(B, T, p * p * C) -> (B, C, H, W), of a square latent."""
    b, num_patches, size = patches.shape
    p, grid, c = patch_size, math.isqrt(num_patches), size // patch_size**2
    x = patches.reshape(b, grid, grid, p, p, c)
    return torch.einsum("bhwpqc->bchpwq", x).reshape(b, c, grid * p, grid * p)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x * (1 + scale) + shift, in one pass over x (B, T, D)."""
    return torch.addcmul(shift, x, 1 + scale)


def sinusoids(time: Tensor) -> Tensor:
    """(B,) -> (B, 256) float32: cosines, then sines, at geometric frequencies."""
    half = TIME_EMBEDDING_SIZE // 2
    exponents = torch.arange(half, dtype=torch.float32, device=time.device) / half
    # float32 whatever the weights are: bfloat16 would turn t = 782.6 into 784.
    angles = time.float()[:, None] * torch.exp(-math.log(MAX_PERIOD) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def linear_layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
