"""What a network holds while it is asked, and how that is kept from growing.

A backward pass needs the activations of every forward before it: of DiT-XL/2 at 256 pixels half a
gigabyte for each row of each step. Where that is too much, only what goes into a forward is kept.
Its activations are computed again, a part of the rows at a time: rows know nothing of each other,
so that their gradients add up to those of all. What is held at once is one part's, whatever the
batch and the number of steps.

Checkpoints around every block, instead, hold one block's activations of all rows, and its input for
every block beside it: for 32 rows of two and of four blocks of DiT-XL/2 that took 2.1 and 2.8 GB,
and one forward more; parts of four rows take 0.6 and 0.8 (one checkpoint around all: 2.6 and 4.5).
"""

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from diffusion_core.program import Network

KEPT_BYTES = 4 << 30  # of activations that are kept until the backward pass, at most
PART_BYTES = 2 << 30  # of activations that are held at once, else; one row's, where that is more


class InParts(nn.Module):
    """A network that is asked so many rows at a time. What it answers for a row is the same."""

    def __init__(self, network: Network, rows: int):
        super().__init__()
        self.network = network
        self.rows = rows

    def forward(self, x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
        if len(x) <= self.rows:
            return self.network(x, time, class_label)
        columns = (torch.split(column, self.rows) for column in (x, time, class_label))
        return torch.cat([self.network(*part) for part in zip(*columns, strict=True)])


def rematerialised(network: Network, rows: int | None = None) -> Network:
    """The same network, whose activations are computed again for the backward pass.

    Each evaluation costs one forward more. rows: so many at a time; None takes all together.
    """

    def forward(x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
        out: Tensor = checkpoint(network, x, time, class_label, use_reentrant=False)
        return out

    return forward if rows is None else InParts(forward, rows)


def activation_bytes(
    network: nn.Module, latent_shape: tuple[int, int, int], device: torch.device
) -> int:
    """What a row leaves for the backward pass, as torch keeps it: found by a forward of one row."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    # Times are searched too, so the condition that they make takes gradients as well.
    x = torch.zeros(1, *latent_shape, device=device, requires_grad=True)
    time = torch.zeros(1, device=device, requires_grad=True)
    class_label = torch.zeros(1, dtype=torch.int64, device=device)
    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        network(x, time, class_label)
    return sum(kept.values())
