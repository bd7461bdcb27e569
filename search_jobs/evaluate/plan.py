"""How many samples, from which noises, in which groups."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from diffusion_core.quality import NUM_GROUPS

EVALUATION_SEEDS_FROM = 2**40  # searches draw their noises from below


@dataclass(frozen=True)
class EvaluationPlan:
    """What every contender is measured on. Raises ValueError for too few samples."""

    num_samples: int = 720  # judged: distance, accuracy, precision, recall
    num_endpoints: int = 180  # the first so many are compared with the converged solution
    batch_rows: int = 64  # network rows of a forward
    first_seed: int = 0  # counted from EVALUATION_SEEDS_FROM

    def __post_init__(self) -> None:
        if not NUM_GROUPS <= self.num_endpoints <= self.num_samples:
            raise ValueError(
                f"num_endpoints must lie in [{NUM_GROUPS}, num_samples = {self.num_samples}], "
                f"got {self.num_endpoints}"
            )
        if self.num_samples < 2 * NUM_GROUPS:
            raise ValueError(f"num_samples must be at least {2 * NUM_GROUPS}")
        if self.batch_rows < 2:
            raise ValueError(f"batch_rows must be at least 2, got {self.batch_rows}")
        if not 0 <= self.first_seed < EVALUATION_SEEDS_FROM:
            raise ValueError(f"first_seed must lie in [0, 2^40), got {self.first_seed}")

    @classmethod
    def of_samples(cls, num_samples: int, on_gpu: bool = False) -> "EvaluationPlan":
        """A quarter of the samples, 180 or more where there are, are compared as endpoints."""
        num_endpoints = min(num_samples, max(180, num_samples // 4))
        return cls(num_samples, num_endpoints, batch_rows=1024 if on_gpu else 64)

    def screening(self) -> "EvaluationPlan":
        """Just enough to tell which contenders deserve to be measured in full."""
        return replace(self, num_samples=2 * NUM_GROUPS, num_endpoints=2 * NUM_GROUPS)

    @property
    def seeds(self) -> range:
        first = EVALUATION_SEEDS_FROM + self.first_seed
        return range(first, first + self.num_samples)


def groups_of(count: int, num_classes: int) -> Tensor:
    """(count,) int64 in [0, 20): groups of equal size, every class spread over them.

    Classes take turns in the order of the seeds. Were one class all in one group, leaving the
    group out would change the mixture of classes, and every figure would look less certain than
    it is.
    """
    diagonal = torch.tensor([(i // num_classes + i % num_classes) for i in range(count)])
    order = torch.argsort(diagonal % NUM_GROUPS, stable=True)
    groups = torch.empty(count, dtype=torch.int64)
    groups[order] = torch.arange(count) * NUM_GROUPS // count
    return groups
