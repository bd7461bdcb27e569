"""The deformable mixing of FlowDCN: every position reads the map at K places of its own choice.

    X  = column + offset_x        Y  = row + offset_y         where it reads
    x0 = trunc(X),  x1 = x0 + 1   y0 = trunc(Y),  y1 = y0 + 1

    sample = (x1 - X) (y1 - Y) value[y0, x0] + (X - x0) (y1 - Y) value[y0, x1]
           + (x1 - X) (Y - y0) value[y1, x0] + (X - x0) (Y - y0) value[y1, x1]
    out    = sum_k weight_k * sample_k            value is zero outside of the map

trunc rounds toward zero. So left of and above the map this is not bilinear sampling: at X = -0.3 it
takes 1.3 times column 0 less 0.3 times column 1, and at X = -1 it jumps. The published networks
were trained that way.

Source: Wang et al., "FlowDCN: Exploring DCN-like Architectures for Fast Image Generation with
Arbitrary Resolution" (2024), and the kernels published with it.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..memory import is_out_of_memory

logger = logging.getLogger(__name__)

Mixing = Callable[[Tensor, Tensor, Tensor], Tensor]
# Shapes of value, offset and weight for one position, group, channel and place.
SMALLEST = ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 2), (1, 1, 1, 1, 1))
# Zeros around the map. A place further out is moved to where all of its four corners are zeros.
MARGIN = 2
# Entries of the matrices that a backward pass makes at once; a CPU keeps so many in its cache.
MATRIX_ENTRIES_CPU, MATRIX_ENTRIES_GPU = 2**19, 2**26


def deformable_mixing(value: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """Sum up what every position reads.

    value    (B, H, W, G, C)     the map, in G groups of channels
    offset   (B, H, W, G, K, 2)  x, then y: where to read, seen from the position itself
    weight   (B, H, W, G, K)
    Returns  (B, H, W, G, C)     in value's dtype, summed in float32 (in float64 for float64)
    """
    if value.is_cuda and value.dtype != torch.float64:
        return mixing_on(value.device)(value, offset, weight)
    return plain_mixing(value, offset, weight)


@cache
def mixing_on(device: torch.device) -> Mixing:
    """The Triton kernel where it runs, else the plain one; tried once, on a map of one position."""
    kernel = triton_mixing()
    if kernel is None:
        return plain_mixing
    try:
        kernel(*(torch.zeros(shape, device=device) for shape in SMALLEST))
    except Exception as error:  # Triton's own, the compiler's, the system's: it builds at first use
        if is_out_of_memory(error):
            raise  # says nothing about the kernel
        logger.warning("FlowDCN goes without its Triton kernel, which does not run: %s", error)
        return plain_mixing
    return kernel


def triton_mixing() -> Mixing | None:
    """The same in one kernel, where Triton is installed: it comes with PyTorch for CUDA."""
    try:
        from .deformable_triton import fused_mixing
    except ImportError:
        return None
    return fused_mixing


def plain_mixing(value: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """`deformable_mixing` on any device."""
    b, h, w, g, c = value.shape
    dtype = torch.promote_types(value.dtype, torch.float32)
    index, share = corners(offset.to(dtype), weight.to(dtype))
    around = (0, 0, MARGIN, MARGIN, MARGIN, MARGIN)
    padded = F.pad(value.to(dtype).permute(0, 3, 1, 2, 4), around)  # (B, G, H + 4, W + 4, C)
    table = padded.reshape(b * g, -1, c)
    out: Tensor = SumOfRows.apply(table, index, share)  # type: ignore[no-untyped-call]  # torch's is untyped
    return out.view(b, g, h, w, c).permute(0, 2, 3, 1, 4).to(value.dtype)


def corners(offset: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The four corners around every place.

    Returns
        index  (B * G, H * W, 4 * K)  int64, a position of the padded map, counted row by row
        share  (B * G, H * W, 4 * K)  what this corner's value is multiplied by
    """
    b, h, w, g, k = weight.shape
    offset_x, offset_y = offset.permute(5, 0, 3, 1, 2, 4)  # each (B, G, H, W, K)
    columns = torch.arange(w, dtype=offset.dtype, device=offset.device)[:, None]
    rows = torch.arange(h, dtype=offset.dtype, device=offset.device)[:, None, None]
    # Contiguous before all else: what follows is much slower on strided memory.
    x, y = (offset_x + columns).contiguous(), (offset_y + rows).contiguous()
    # What trunc leaves over, exactly. trunc itself takes torch forty times as long on a CPU.
    right, bottom = x.frac(), y.frac()
    left, top = 1 - right, 1 - bottom
    x0, y0 = (x - right).detach(), (y - bottom).detach()
    upper = weight.permute(0, 3, 1, 2, 4).contiguous() * top
    lower = weight.permute(0, 3, 1, 2, 4).contiguous() * bottom
    share = torch.stack([upper * left, upper * right, lower * left, lower * right], dim=-2)
    width = w + 2 * MARGIN
    first = padded_position(y0, h) * width + padded_position(x0, w)
    index = torch.stack([first, first + 1, first + width, first + width + 1], dim=-2)
    return index.view(b * g, h * w, 4 * k), share.view(b * g, h * w, 4 * k)


def padded_position(position: Tensor, size: int) -> Tensor:
    """Where a row or column of the map lies in the padded map."""
    # A NaN makes NaN of the sum that it belongs to; as an index it would fail the whole batch.
    return position.nan_to_num(nan=-MARGIN).clamp(-MARGIN, size).long() + MARGIN


class SumOfRows(torch.autograd.Function):
    """out[n, p] = sum_t share[n, p, t] * table[n, index[n, p, t]]

    table    (N, S, C)
    index    (N, P, T)
    share    (N, P, T)
    Returns  (N, P, C)

    The sum is an embedding bag, whose own gradient is slow on a CPU. This one is by matrices (P, S)
    that hold every share in its place: for 8 maps of 16x16 in 8 groups of 12, 15 ms and not 80.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, share: Tensor) -> Tensor:
        ctx.save_for_backward(table, index, share)
        (n, s, c), (_, p, t) = table.shape, index.shape
        rows = index + s * torch.arange(n, device=index.device)[:, None, None]
        out = F.embedding_bag(
            rows.view(n * p, t),
            table.view(n * s, c),
            per_sample_weights=share.view(n * p, t),
            mode="sum",
        )
        return out.view(n, p, c)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_grad: Tensor) -> tuple[Tensor, None, Tensor]:
        table, index, share = ctx.saved_tensors
        table_grad, share_grad = torch.empty_like(table), torch.empty_like(share)
        entries = MATRIX_ENTRIES_CPU if table.device.type == "cpu" else MATRIX_ENTRIES_GPU
        at_once = max(1, entries // (index.shape[1] * table.shape[1]))
        for start in range(0, len(table), at_once):
            part = slice(start, start + at_once)
            matrix = table.new_zeros(*index[part].shape[:2], table.shape[1])  # (n, P, S)
            matrix.scatter_add_(-1, index[part], share[part])
            torch.bmm(matrix.mT, out_grad[part], out=table_grad[part])
            torch.bmm(out_grad[part], table[part].mT, out=matrix)
            torch.gather(matrix, -1, index[part], out=share_grad[part])
        return table_grad, None, share_grad
