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
    return FusedMixing.apply(value, offset, weight)  # type: ignore[no-untyped-call]


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
    channels = triton.next_power_of_2(c)
    positions = max(1, TILE // channels)
    out = torch.empty_like(value)
    grid = (triton.cdiv(b * h * w, positions), g)
    # Triton launches on the current device, which need not be the tensor's.
    with torch.cuda.device_of(value):
        mixing_kernel[grid](
            value, offset, weight, out, b * h * w, h, w,
            G=g, C=c, K=weight.shape[-1], POSITIONS=positions, CHANNELS=channels,
        )  # fmt: skip
    return out


@triton.jit
def mixing_kernel(
    value_ptr,  # (B, H, W, G, C)
    offset_ptr,  # (B, H, W, G, K, 2)
    weight_ptr,  # (B, H, W, G, K)
    out_ptr,  # (B, H, W, G, C)
    num_positions,  # B * H * W
    H,
    W,
    G: tl.constexpr,
    C: tl.constexpr,
    K: tl.constexpr,
    POSITIONS: tl.constexpr,  # of one program
    CHANNELS: tl.constexpr,  # C, rounded up to a power of two
):
    """Program (i, g) sums up group g at the i-th POSITIONS positions."""
    # int64: large batches of large maps have more than 2^31 entries.
    position = tl.program_id(0).to(tl.int64) * POSITIONS + tl.arange(0, POSITIONS)
    group = tl.program_id(1)
    channel = tl.arange(0, CHANNELS)[None, :]
    in_range = position < num_positions
    column, row, image = position % W, position // W % H, position // (W * H)
    total = tl.zeros((POSITIONS, CHANNELS), tl.float32)
    for k in tl.static_range(K):
        place = (position * G + group) * K + k
        x = tl.load(offset_ptr + 2 * place, in_range, 0.0).to(tl.float32) + column
        y = tl.load(offset_ptr + 2 * place + 1, in_range, 0.0).to(tl.float32) + row
        weight = tl.load(weight_ptr + place, in_range, 0.0).to(tl.float32)
        x0, y0 = x.to(tl.int32), y.to(tl.int32)  # the cast rounds toward zero
        for lower in tl.static_range(2):
            share_y = y - y0 if lower else y0 + 1 - y
            for right in tl.static_range(2):
                share_x = x - x0 if right else x0 + 1 - x
                corner_x, corner_y = x0 + right, y0 + lower
                inside = (corner_x >= 0) & (corner_x < W) & (corner_y >= 0) & (corner_y < H)
                corner = ((image * H + corner_y) * W + corner_x) * G + group
                mask = (inside & in_range)[:, None] & (channel < C)
                corner_value = tl.load(value_ptr + corner[:, None] * C + channel, mask, 0.0)
                total += (weight * share_y * share_x)[:, None] * corner_value.to(tl.float32)
    out = ((position * G + group) * C)[:, None] + channel
    tl.store(out_ptr + out, total, in_range[:, None] & (channel < C))
