"""The deformable mixing in one Triton kernel: nothing but the sums is ever written to memory."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from .deformable import plain_mixing

TILE = 1024  # sums that one program holds: positions x channels


def fused_mixing(value: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """`deformable_mixing`, summed in float32; its gradient is that of the plain one."""
    return FusedMixing.apply(value, offset, weight)  # type: ignore[no-untyped-call]  # torch's is untyped


class FusedMixing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(value, offset, weight)
        return launch(value.contiguous(), offset.contiguous(), weight.contiguous())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_grad: Tensor) -> tuple[Tensor, ...]:
        inputs = [tensor.detach().requires_grad_() for tensor in ctx.saved_tensors]
        with torch.enable_grad():
            out = plain_mixing(*inputs)
        return torch.autograd.grad(out, inputs, out_grad)


def launch(value: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    b, h, w, g, c = value.shape
    tile_channels = triton.next_power_of_2(c)
    tile_positions = max(1, TILE // tile_channels)
    out = torch.empty_like(value)
    # Triton launches on the current device, which need not be the tensor's.
    with torch.cuda.device_of(value):  # type: ignore[no-untyped-call]  # torch's is untyped
        mixing_kernel[triton.cdiv(b * h * w, tile_positions), g](
            value,
            offset,
            weight,
            out,
            num_positions=b * h * w,
            height=h,
            width=w,
            num_groups=g,
            group_size=c,
            num_points=weight.shape[-1],
            tile_positions=tile_positions,
            tile_channels=tile_channels,
        )
    return out


@triton.jit
def mixing_kernel(
    value,  # (B, H, W, G, C)
    offset,  # (B, H, W, G, K, 2)
    weight,  # (B, H, W, G, K)
    out,  # (B, H, W, G, C)
    num_positions,  # B * H * W
    height,
    width,
    num_groups: tl.constexpr,
    group_size: tl.constexpr,
    num_points: tl.constexpr,
    tile_positions: tl.constexpr,
    tile_channels: tl.constexpr,  # group_size, rounded up to a power of two
):
    """Program (i, g) sums up group g at the i-th tile_positions positions."""
    # int64: large batches of large maps have more than 2^31 entries.
    position = tl.program_id(0).to(tl.int64) * tile_positions + tl.arange(0, tile_positions)
    column = position % width
    row = position // width % height
    image = position // (width * height)
    group = tl.program_id(1)
    channel = tl.arange(0, tile_channels)[None, :]
    position_exists, channel_exists = position < num_positions, channel < group_size
    total = tl.zeros((tile_positions, tile_channels), tl.float32)
    for k in range(num_points):  # unrolled, it would need more registers than there are
        place = (position * num_groups + group) * num_points + k
        x = tl.load(offset + 2 * place, position_exists, 0.0).to(tl.float32) + column
        y = tl.load(offset + 2 * place + 1, position_exists, 0.0).to(tl.float32) + row
        w = tl.load(weight + place, position_exists, 0.0).to(tl.float32)
        x0, y0 = x.to(tl.int32), y.to(tl.int32)  # the cast rounds toward zero
        for lower in tl.static_range(2):
            y_corner = y0 + lower
            share_y = y - y0 if lower else y0 + 1 - y
            row_exists = (y_corner >= 0) & (y_corner < height) & position_exists
            for right in tl.static_range(2):
                x_corner = x0 + right
                share_x = x - x0 if right else x0 + 1 - x
                exists = (x_corner >= 0) & (x_corner < width) & row_exists
                corner = ((image * height + y_corner) * width + x_corner) * num_groups + group
                address = corner[:, None] * group_size + channel
                seen = tl.load(value + address, exists[:, None] & channel_exists, 0.0)
                total += (w * share_y * share_x)[:, None] * seen.to(tl.float32)
    address = (position * num_groups + group)[:, None] * group_size + channel
    tl.store(out + address, total, position_exists[:, None] & channel_exists)
