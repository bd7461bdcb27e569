"""The deformable mixing as it is written down: place by place, corner by corner, in float64."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor


def mixing_by_definition(
    value: Tensor,
    offset: Tensor,
    weight: Tensor,
    round_place: Callable[[float], int] = math.trunc,
) -> Tensor:
    """(B, H, W, G, C), (B, H, W, G, K, 2), (B, H, W, G, K) -> (B, H, W, G, C), float64."""
    b, h, w, g, k = weight.shape
    seen, out = value.double(), torch.zeros(value.shape, dtype=torch.float64)
    places = itertools.product(range(b), range(h), range(w), range(g), range(k))
    for image, row, column, group, point in places:
        index = (image, row, column, group)
        offset_x, offset_y = offset[*index, point].tolist()
        x, y = column + offset_x, row + offset_y
        x0, y0 = round_place(x), round_place(y)
        for x_corner, share_x in ((x0, x0 + 1 - x), (x0 + 1, x - x0)):
            for y_corner, share_y in ((y0, y0 + 1 - y), (y0 + 1, y - y0)):
                if 0 <= x_corner < w and 0 <= y_corner < h:
                    share = weight[*index, point].item() * share_x * share_y
                    out[index] += share * seen[image, y_corner, x_corner, group]
    return out
