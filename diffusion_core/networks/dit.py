"""The diffusion transformer that DiT and SiT share, under the official parameter names.

One class serves both: DiT reads times on 0..999 and predicts noise, SiT reads times on [0, 1] and
predicts velocity; the difference lives in the model card, not here.

Source: Peebles & Xie, "Scalable Diffusion Models with Transformers" (2023), adaLN-Zero variant;
Ma et al., "SiT" (2024) keeps the same network.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import (
    MAX_PERIOD,
    ActivatedLinear,
    FinalLayer,
    LabelEmbedder,
    PatchEmbed,
    TimestepEmbedder,
    check_patches,
    linear_layers,
    modulate,
    unpatchify,
    zero,
)


@dataclass(frozen=True)
class DiTConfig:
    """Raises ValueError for sizes of which there is no network."""

    input_size: int  # height and width of the latent, in latent pixels
    patch_size: int
    in_channels: int
    hidden_size: int
    depth: int  # number of transformer blocks
    num_heads: int
    num_classes: int  # the null class has this number
    mlp_ratio: float = 4.0
    learn_sigma: bool = False  # the output has twice the channels; the second half is not used

    def __post_init__(self) -> None:
        if self.hidden_size % (2 * self.num_heads) or self.hidden_size % 4:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of 4 and of 2 x num_heads"
            )
        check_patches(self.input_size, self.patch_size)


class DiT(nn.Module):
    """A class-conditional transformer over latent patches.

    forward(x, time, class_label):
        x            (B, C, H, W)  state
        time         (B,)          network time, in the unit of training; float32
        class_label  (B,)          int64, 0..num_classes; num_classes itself is the null class
        Returns      (B, C, H, W)  the network's raw prediction
    """

    pos_embed: Tensor

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.config = config
        out_channels = config.in_channels * (2 if config.learn_sigma else 1)
        grid = config.input_size // config.patch_size
        self.x_embedder = PatchEmbed(config.patch_size, config.in_channels, config.hidden_size)
        self.t_embedder = TimestepEmbedder(config.hidden_size)
        self.y_embedder = LabelEmbedder(config.num_classes, config.hidden_size)
        # A parameter and not a buffer: published checkpoints carry it.
        self.pos_embed = nn.Parameter(
            sincos_position_embedding(config.hidden_size, grid).unsqueeze(0), requires_grad=False
        )
        self.blocks = nn.ModuleList(DiTBlock(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config.hidden_size, config.patch_size, out_channels)
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """Initialise as published: every block starts as the identity, the output as zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        self.x_embedder.initialize_weights()
        self.y_embedder.initialize_weights()
        self.t_embedder.initialize_weights()
        for module in self.modules():
            if isinstance(module, DiTBlock):
                for layer in linear_layers(module.adaLN_modulation):
                    zero(layer)
        self.final_layer.initialize_weights()

    def forward(self, x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
        tokens = self.x_embedder(x) + self.pos_embed  # (B, T, D), T = (H / patch_size) ** 2
        condition = self.t_embedder(time) + self.y_embedder(class_label)  # (B, D)
        for block in self.blocks:
            tokens = block(tokens, condition)
        patches = self.final_layer(tokens, condition)  # (B, T, patch_size ** 2 * out_channels)
        return unpatchify(patches, self.config.patch_size)[:, : self.config.in_channels]


class Attention(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, hidden_size * 3)
        self.proj = nn.Linear(hidden_size, hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        b, t, d = tokens.shape
        qkv = self.qkv(tokens).reshape(b, t, 3, self.num_heads, d // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, T, D / heads)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(b, t, d))


class Mlp(nn.Module):
    def __init__(self, hidden_size: int, mlp_ratio: float):
        super().__init__()
        self.fc1 = ActivatedLinear(hidden_size, int(hidden_size * mlp_ratio), "gelu")
        self.fc2 = nn.Linear(int(hidden_size * mlp_ratio), hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.fc2(self.fc1(tokens))


class DiTBlock(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by the condition (adaLN-Zero)."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        d = config.hidden_size
        self.norm1 = nn.LayerNorm(d, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(d, config.num_heads)
        self.norm2 = nn.LayerNorm(d, eps=1e-6, elementwise_affine=False)
        self.mlp = Mlp(d, config.mlp_ratio)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """(B, T, D), (B, D) -> (B, T, D)."""
        modulation = (
            self.adaLN_modulation(condition).unsqueeze(1).chunk(6, dim=-1)
        )  # each (B, 1, D)
        shift_attn, scale_attn, gate_attn, shift_mlp, scale_mlp, gate_mlp = modulation
        attended = self.attn(modulate(self.norm1(tokens), shift_attn, scale_attn))
        tokens = torch.addcmul(tokens, gate_attn, attended)
        mapped = self.mlp(modulate(self.norm2(tokens), shift_mlp, scale_mlp))
        return torch.addcmul(tokens, gate_mlp, mapped)


def sincos_position_embedding(hidden_size: int, grid: int) -> Tensor:
    """(grid ** 2, hidden_size): half of the channels from the column, half from the row."""
    quarter, host = hidden_size // 4, torch.device("cpu")  # a blank network has these numbers too
    omega = MAX_PERIOD ** (-torch.arange(quarter, dtype=torch.float64, device=host) / quarter)
    angles = torch.arange(grid, dtype=torch.float64, device=host)[:, None] * omega  # (grid, D / 4)
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)  # (grid, D / 2)
    columns = axis.repeat(grid, 1)
    rows = axis.repeat_interleave(grid, dim=0)
    return torch.cat([columns, rows], dim=1).float()
