"""FlowDCN: a DiT whose attention is a deformable convolution, under the official parameter names.

It reads times on [0, 1] and predicts velocity, like SiT. There is no position embedding: a position
knows its place only by the edges of the map.

Source: Wang et al., "FlowDCN: Exploring DCN-like Architectures for Fast Image Generation with
Arbitrary Resolution" (2024).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .deformable import deformable_mixing
from .layers import (
    ActivatedLinear,
    FinalLayer,
    LabelEmbedder,
    PatchEmbed,
    TimestepEmbedder,
    check_patches,
    modulate,
    unpatchify,
)

NUM_POINTS = 9  # places that each position reads, per group: at first a 3x3 grid around it
MAX_REACH = 6.0  # half the width of the widest such grid, in patches


@dataclass(frozen=True)
class FlowDCNConfig:
    """Raises ValueError for sizes of which there is no network."""

    input_size: int  # height and width of the latent, in latent pixels
    patch_size: int
    in_channels: int
    hidden_size: int
    depth: int  # number of blocks
    num_groups: int  # groups of channels, each of which reads at places of its own
    num_classes: int  # the null class has this number
    mlp_ratio: float = 4.0
    learn_sigma: bool = False  # the output has twice the channels; the second half is not used

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_groups:
            raise ValueError(f"hidden_size {self.hidden_size} must be a multiple of num_groups")
        check_patches(self.input_size, self.patch_size)


class FlowDCN(nn.Module):
    """A class-conditional deformable convolutional network over latent patches.

    forward(x, time, class_label):
        x            (B, C, H, W)  state
        time         (B,)          network time, in the unit of training; float32
        class_label  (B,)          int64, 0..num_classes; num_classes itself is the null class
        Returns      (B, C, H, W)  the network's raw prediction
    """

    def __init__(self, config: FlowDCNConfig):
        super().__init__()
        d = config.hidden_size
        self.config = config
        out_channels = config.in_channels * (2 if config.learn_sigma else 1)
        # Published averages of the weights are lists without names, in the order of this file.
        self.x_embedder = PatchEmbed(config.patch_size, config.in_channels, d)
        self.t_embedder = TimestepEmbedder(d)
        self.y_embedder = LabelEmbedder(config.num_classes, d)
        self.final_layer = FinalLayer(d, config.patch_size, out_channels)
        self.blocks = nn.ModuleList(FlowDCNBlock(config) for _ in range(config.depth))
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """Initialise as published: the output starts as zero, but the blocks do not."""
        self.x_embedder.initialize_weights()
        self.y_embedder.initialize_weights()
        self.t_embedder.initialize_weights()
        self.final_layer.initialize_weights()

    def forward(self, x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
        tokens = self.x_embedder(x)  # (B, T, D), T = (H / patch_size) ** 2
        condition = self.t_embedder(time) + self.y_embedder(class_label)  # (B, D)
        for block in self.blocks:
            tokens = block(tokens, condition)
        patches = self.final_layer(tokens, condition)  # (B, T, patch_size ** 2 * out_channels)
        return unpatchify(patches, self.config.patch_size)[:, : self.config.in_channels]


class RMSNorm(nn.RMSNorm):
    """In the precision of its weight, also under autocast."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return super().forward(tokens.to(self.weight.dtype))


class FlowDCNBlock(nn.Module):
    """Deformable convolution and MLP, each shifted, scaled and gated by the condition."""

    def __init__(self, config: FlowDCNConfig):
        super().__init__()
        d = config.hidden_size
        self.norm1 = RMSNorm(d, eps=1e-6)
        self.attn = MultiScaleDCN(d, config.num_groups)
        self.norm2 = RMSNorm(d, eps=1e-6)
        self.mlp = SwiGLU(d, int(2 * int(d * config.mlp_ratio) / 3))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """(B, T, D), (B, D) -> (B, T, D)."""
        modulation = (
            self.adaLN_modulation(condition).unsqueeze(1).chunk(6, dim=-1)
        )  # each (B, 1, D)
        shift_attn, scale_attn, gate_attn, shift_mlp, scale_mlp, gate_mlp = modulation
        mixed = self.attn(modulate(self.norm1(tokens), shift_attn, scale_attn))
        tokens = torch.addcmul(tokens, gate_attn, mixed)
        mapped = self.mlp(modulate(self.norm2(tokens), shift_mlp, scale_mlp))
        return torch.addcmul(tokens, gate_mlp, mapped)


class MultiScaleDCN(nn.Module):
    """Every position sums up what it reads at NUM_POINTS places, which it chooses for each group.

        offset = (qk_deformables(x) + prior) * MAX_REACH * sigmoid(qk_scales(x) + scale)
        weight = qk_weights(x)                                                  of any sign and sum

    The prior is a 3x3 grid. How far it reaches is each group's own: at first MAX_REACH * g / G
    patches in the g-th of G groups, so that they look at many scales.
    """

    def __init__(self, hidden_size: int, num_groups: int):
        super().__init__()
        self.num_groups = num_groups
        self.deformables_prior = nn.Parameter(
            grid_offsets().view(1, 1, 1, 1, NUM_POINTS, 2), requires_grad=False
        )
        self.deformables_scale = nn.Parameter(
            initial_scales(num_groups).view(1, 1, 1, num_groups, 1, 1)
        )
        self.v = nn.Linear(hidden_size, hidden_size)
        self.qk_deformables = nn.Linear(hidden_size, num_groups * NUM_POINTS * 2)
        self.qk_scales = nn.Linear(hidden_size, num_groups * NUM_POINTS, bias=False)
        self.qk_weights = nn.Linear(hidden_size, num_groups * NUM_POINTS)
        self.out = nn.Linear(hidden_size, hidden_size)
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """Initialise as published: all positions read alike, by the random biases of qk_weights."""
        for layer in (self.qk_deformables, self.qk_scales, self.qk_weights):
            nn.init.zeros_(layer.weight)
        for layer in (self.qk_deformables, self.v, self.out):
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D), of a square map."""
        b, t, d = tokens.shape
        size = math.isqrt(t)
        groups = (b, size, size, self.num_groups)
        offset = self.qk_deformables(tokens).view(*groups, NUM_POINTS, 2) + self.deformables_prior
        scale = self.qk_scales(tokens).view(*groups, NUM_POINTS, 1) + self.deformables_scale
        mixed = deformable_mixing(
            self.v(tokens).view(*groups, d // self.num_groups),
            offset * (MAX_REACH * torch.sigmoid(scale)),
            self.qk_weights(tokens).view(*groups, NUM_POINTS),
        )
        return self.out(mixed.reshape(b, t, d))


class SwiGLU(nn.Module):
    def __init__(self, hidden_size: int, inner_size: int):
        super().__init__()
        self.w1 = ActivatedLinear(hidden_size, inner_size, "silu", bias=False)
        self.w3 = nn.Linear(hidden_size, inner_size, bias=False)
        self.w2 = nn.Linear(inner_size, hidden_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.w2(self.w1(tokens) * self.w3(tokens))


def grid_offsets() -> Tensor:
    """(9, 2): x and y of a 3x3 grid around zero, row by row."""
    return torch.tensor([(x, y) for y in (-1.0, 0.0, 1.0) for x in (-1.0, 0.0, 1.0)])


def initial_scales(num_groups: int) -> Tensor:
    """(G,): numbers whose sigmoids are 1/G, 2/G, … 1, less what keeps the last one finite."""
    # By name on the host: a blank network has these few numbers too.
    numbers = torch.arange(1, num_groups + 1, dtype=torch.float64, device="cpu")
    fractions = numbers / num_groups
    return torch.logit(fractions - 1e-4).float()
