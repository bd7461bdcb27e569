"""One search on several devices: every process takes its share of each batch.

Under `torchrun` each process holds the same parameters, computes the loss of its part of the batch
and averages gradients (and what else is a mean over the batch) with the others. What one process
alone may find out or do, the first one does, and the others are told. All calls but `share` are
meetings: every process must make the same ones in the same order.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn

from ..errors import SearchError

P = ParamSpec("P")
S = TypeVar("S")
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
            with _meeting():
                torch.distributed.all_reduce(tensor)
            tensor.div_(self.size)

    def mean_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        self.mean([p.grad for p in parameters if p.grad is not None])

    def map(self, work: Callable[[S], T], items: Sequence[S]) -> list[T]:
        """Work of every item, in their order: each process does its share, all get all of it."""
        own = [work(item) for item in items[self.rank :: self.size]]
        if self.size == 1:
            return own
        shares: list[list[T]] = [[] for _ in range(self.size)]
        with _meeting():
            torch.distributed.all_gather_object(shares, own)
        return [shares[n % self.size][n // self.size] for n in range(len(items))]

    def of_first(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the first process makes; the others wait for it.

        Raises what `work` raises, in the others SearchError: they must not wait for ever.
        """
        if self.size == 1:
            return work(*args, **kwargs)
        if not self.is_first:
            made, failure = self._broadcast(None, None)
            if failure is not None:
                raise SearchError(f"the first process has failed: {failure}")
            return made
        try:
            made = work(*args, **kwargs)
        except Exception as error:
            with suppress(SearchError):  # one that is not there any more need not be told
                self._broadcast(None, repr(error))
            raise
        self._broadcast(made, None)
        return made

    @staticmethod
    def _broadcast(made: Any, failure: str | None) -> tuple[Any, str | None]:
        box = [made, failure]
        with _meeting():
            torch.distributed.broadcast_object_list(box, src=0)
        return box[0], box[1]


@contextmanager
def _meeting() -> Iterator[None]:
    """Raises SearchError where another process does not come any more."""
    try:
        yield
    except RuntimeError as error:  # torch's report of a lost connection
        raise SearchError(f"the search has lost another of its processes: {error}") from error


ALONE = Shard()
