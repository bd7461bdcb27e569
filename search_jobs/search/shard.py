"""One search on several devices: every process takes its share of each batch.

Under `torchrun` each process holds the same parameters, computes the loss of its part of the batch
and averages gradients (and what else is a mean over the batch) with the others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Process `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "Shard":
        """This process' place among those of torch.distributed; alone where there is none."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return cls()
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, batch: Sequence[T]) -> list[T]:
        """Every size-th of the batch, which must divide evenly: means of means are then means."""
        if len(batch) % self.size:
            raise ValueError(f"a batch of {len(batch)} cannot be shared by {self.size} processes")
        return list(batch[self.rank :: self.size])

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its mean over the processes."""
        if self.size == 1:
            return
        for tensor in tensors:
            torch.distributed.all_reduce(tensor)
            tensor.div_(self.size)

    def mean_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        self.mean([p.grad for p in parameters if p.grad is not None])
