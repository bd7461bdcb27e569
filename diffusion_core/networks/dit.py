"""The diffusion transformer that DiT and SiT share, under the official parameter names.

One class serves both: DiT reads times on 0..999 and predicts noise, SiT reads times on [0, 1] and
predicts velocity; the difference lives in the model card, not here.

Source: Peebles & Xie, "Scalable Diffusion Models with Transformers" (2023), adaLN-Zero variant;
Ma et al., "SiT" (2024) keeps the same network.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TIME_EMBEDDING_SIZE = 256
MAX_PERIOD = 10_000.0


@dataclass(frozen=True)
class DiTConfig:
    input_size: int  # height and width of the latent, in latent pixels
    patch_size: int
    in_channels: int
    hidden_size: int
    depth: int  # number of transformer blocks
    num_heads: int
    num_classes: int  # the null class has this number
    mlp_ratio: float = 4.0
    learn_sigma: bool = False  # the output has twice the channels; the second half is not used


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
        if config.hidden_size % (2 * config.num_heads) or config.hidden_size % 4:
            raise ValueError(
                f"hidden_size {config.hidden_size} must be a multiple of 4 and of 2 x num_heads"
            )
        self.config = config
        self.out_channels = config.in_channels * (2 if config.learn_sigma else 1)
        grid = config.input_size // config.patch_size
        self.x_embedder = PatchEmbed(config)
        self.t_embedder = TimestepEmbedder(config.hidden_size)
        self.y_embedder = LabelEmbedder(config.num_classes, config.hidden_size)
        # A parameter and not a buffer: published checkpoints carry it.
        self.pos_embed = nn.Parameter(
            sincos_position_embedding(config.hidden_size, grid).unsqueeze(0), requires_grad=False
        )
        self.blocks = nn.ModuleList(DiTBlock(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config.hidden_size, config.patch_size, self.out_channels)
        self.initialize_weights()

    def initialize_weights(self) -> None:
        """Initialise as published: every block starts as the identity, the output as zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        projection = self.x_embedder.proj
        nn.init.xavier_uniform_(projection.weight.view(projection.weight.shape[0], -1))
        assert projection.bias is not None
        nn.init.zeros_(projection.bias)
        nn.init.normal_(self.y_embedder.embedding_table.weight, std=0.02)
        for layer in linear_layers(self.t_embedder):
            nn.init.normal_(layer.weight, std=0.02)
        for module in self.modules():
            if isinstance(module, DiTBlock | FinalLayer):
                for layer in linear_layers(module.adaLN_modulation):
                    zero(layer)
        zero(self.final_layer.linear)

    def forward(self, x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
        tokens = self.x_embedder(x) + self.pos_embed  # (B, T, D), T = (H / patch_size) ** 2
        condition = self.t_embedder(time) + self.y_embedder(class_label)  # (B, D)
        for block in self.blocks:
            tokens = block(tokens, condition)
        patches = self.final_layer(tokens, condition)  # (B, T, patch_size ** 2 * out_channels)
        return self.unpatchify(patches)[:, : self.config.in_channels]

    def unpatchify(self, patches: Tensor) -> Tensor:
        """(B, T, p * p * C) -> (B, C, H, W)."""
        p, c = self.config.patch_size, self.out_channels
        grid = self.config.input_size // p
        x = patches.reshape(-1, grid, grid, p, p, c)
        return torch.einsum("bhwpqc->bchpwq", x).reshape(-1, c, grid * p, grid * p)


class PatchEmbed(nn.Module):
    def __init__(self, config: DiTConfig):
        super().__init__()
        self.proj = nn.Conv2d(
            config.in_channels, config.hidden_size, config.patch_size, config.patch_size
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, T, D)."""
        return self.proj(x.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2)


class TimestepEmbedder(nn.Module):
    def __init__(self, hidden_size: int):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(TIME_EMBEDDING_SIZE, hidden_size),
            nn.SiLU(),
            nn.Linear(hidden_size, hidden_size),
        )

    @property
    def dtype(self) -> torch.dtype:
        return linear_layers(self)[0].weight.dtype

    def forward(self, time: Tensor) -> Tensor:
        """(B,) -> (B, D)."""
        return self.mlp(sinusoids(time).to(self.dtype))


class LabelEmbedder(nn.Module):
    """Class embeddings, with one more row for the null class."""

    def __init__(self, num_classes: int, hidden_size: int):
        super().__init__()
        self.embedding_table = nn.Embedding(num_classes + 1, hidden_size)

    def forward(self, class_label: Tensor) -> Tensor:
        """(B,) -> (B, D)."""
        return self.embedding_table(class_label)


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
        self.fc1 = nn.Linear(hidden_size, int(hidden_size * mlp_ratio))
        self.fc2 = nn.Linear(int(hidden_size * mlp_ratio), hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.fc2(F.gelu(self.fc1(tokens), approximate="tanh"))


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
        tokens = tokens + gate_attn * self.attn(
            modulate(self.norm1(tokens), shift_attn, scale_attn)
        )
        return tokens + gate_mlp * self.mlp(modulate(self.norm2(tokens), shift_mlp, scale_mlp))


class FinalLayer(nn.Module):
    def __init__(self, hidden_size: int, patch_size: int, out_channels: int):
        super().__init__()
        self.norm_final = nn.LayerNorm(hidden_size, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(hidden_size, patch_size * patch_size * out_channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 2 * hidden_size))

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """(B, T, D), (B, D) -> (B, T, p * p * C)."""
        shift, scale = self.adaLN_modulation(condition).unsqueeze(1).chunk(2, dim=-1)
        return self.linear(modulate(self.norm_final(tokens), shift, scale))


def linear_layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


def sinusoids(time: Tensor) -> Tensor:
    """(B,) -> (B, 256) float32: cosines, then sines, at geometric frequencies."""
    half = TIME_EMBEDDING_SIZE // 2
    exponents = torch.arange(half, dtype=torch.float32, device=time.device) / half
    # float32 whatever the weights are: bfloat16 would turn t = 782.6 into 784.
    angles = time.float()[:, None] * torch.exp(-math.log(MAX_PERIOD) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def sincos_position_embedding(hidden_size: int, grid: int) -> Tensor:
    """(grid ** 2, hidden_size): half of the channels from the column, half from the row."""
    quarter = hidden_size // 4
    omega = MAX_PERIOD ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * omega  # (grid, D / 4)
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)  # (grid, D / 2)
    columns = axis.repeat(grid, 1)
    rows = axis.repeat_interleave(grid, dim=0)
    return torch.cat([columns, rows], dim=1).float()
