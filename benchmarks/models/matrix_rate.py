"""How fast a processor multiplies matrices of a network's shapes, and nothing else."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

from diffusion_core.families import Family
from diffusion_core.networks.packed import PackedLinear, can_pack

from .timing import timed

LONG_ENOUGH_S = 0.05  # beside it a launch and a wait for the device are nothing
ROUNDS = 4


@torch.inference_mode()
def matrix_rate(family: Family, max_rows: int, device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a block's widest layers, the best over all numbers of network rows.

    Small matrices do not fill a GPU, and large ones a CPU's caches no more: which number is best
    is not known beforehand.
    """
    sizes = family.architecture
    tokens = (sizes.input_size // sizes.patch_size) ** 2
    narrow, wide = sizes.hidden_size, round(sizes.mlp_ratio * sizes.hidden_size)
    most = 0.0
    for num_in, num_out in ((narrow, wide), (wide, narrow)):
        layers = _layers(num_in, num_out, device, dtype)
        for rows in _up_to(max_rows):
            x = torch.randn(rows * tokens, num_in, device=device).to(dtype)
            seconds = min(seconds_each(partial(layer, x), device) for layer in layers)
            most = max(most, 2 * rows * tokens * num_in * num_out / seconds)
    return most / 1e12


def seconds_each(work: Callable[[], object], device: torch.device) -> float:
    """The best of several rounds, in each of which the work is queued many times."""

    def many(count: int) -> None:
        for _ in range(count):
            work()

    count = 1
    while (taken := timed(partial(many, count), device)) < LONG_ENOUGH_S:
        count *= 2
    return min(taken, *(timed(partial(many, count), device) for _ in range(ROUNDS))) / count


def _layers(num_in: int, num_out: int, device: torch.device, dtype: torch.dtype) -> set[nn.Module]:
    """As torch multiplies, and as our networks do where that is another way."""
    plain = nn.Linear(num_in, num_out, bias=False).to(device, dtype).requires_grad_(False)
    return {plain, PackedLinear(plain, dtype)} if can_pack(device, dtype) else {plain}


def _up_to(most: int) -> Iterator[int]:
    """1, 2, 4 … and `most`."""
    rows = 1
    while rows < most:
        yield rows
        rows *= 2
    yield most
