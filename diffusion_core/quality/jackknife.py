"""A measured figure with its error, without assuming how the samples are distributed.

Samples fall into groups; the figure is taken again without each. How much these differ tells how
much another set of seeds would have changed it:

    variance = (G - 1) / G * sum_g (figure without g - their mean)^2

Two solvers that start from the same noises err alike. The difference of their figures, taken
group by group, is therefore known far better than either.

Source: Shao & Tu, "The Jackknife and Bootstrap" (1995), delete-a-group form.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

NUM_GROUPS = 20
T_95 = 2.093  # 95 % of Student's t with 19 degrees of freedom lies within

T = TypeVar("T")


@dataclass(frozen=True)
class Estimate:
    """A figure, and what it would be without each group of samples."""

    value: float
    without: tuple[float, ...]  # (G,)

    @classmethod
    def of_mean(
        cls, values: Tensor, groups: Tensor, figure: Callable[[float], float] = float
    ) -> "Estimate":
        """figure(mean of the values).

        values  (B,)  one number of each sample
        groups  (B,)  int64, the group of each sample; every group has one
        """
        numbers = values.double()
        kept = [numbers[groups != g] for g in range(int(groups.max()) + 1)]
        return cls(
            figure(float(numbers.mean())), tuple(figure(float(part.mean())) for part in kept)
        )

    @property
    def standard_error(self) -> float:
        count = len(self.without)
        mean = sum(self.without) / count
        return math.sqrt((count - 1) / count * sum((figure - mean) ** 2 for figure in self.without))

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval."""
        return T_95 * self.standard_error

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        return self.value - self.margin, self.value + self.margin

    @property
    def without_bias(self) -> float:
        """The figure, less what it owes to the number of samples where that is as 1 / samples.

        G * figure - (G - 1) * mean_g(figure without g); groups must be drawn at random.

        Source: Quenouille, "Notes on bias in estimation" (1956).
        """
        count = len(self.without)
        return count * self.value - (count - 1) * sum(self.without) / count

    @property
    def is_finite(self) -> bool:
        return all(math.isfinite(figure) for figure in (self.value, *self.without))

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The difference, paired: both must come from the same noises in the same groups."""
        pairs = zip(self.without, other.without, strict=True)
        return Estimate(self.value - other.value, tuple(a - b for a, b in pairs))


def without_each(parts: Sequence[T]) -> Iterator[Sequence[T]]:
    """All parts but the first, all but the second …"""
    for left_out in range(len(parts)):
        yield [*parts[:left_out], *parts[left_out + 1 :]]
