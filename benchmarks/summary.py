"""Many measurements in a few numbers."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median


@dataclass(frozen=True)
class Summary:
    """Of latencies, in milliseconds."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of_seconds(cls, seconds: Sequence[float]) -> "Summary":
        ms = [1000 * value for value in seconds]
        return cls(
            count=len(ms),
            mean=_rounded(fmean(ms)),
            p50=_rounded(percentile(ms, 50)),
            p90=_rounded(percentile(ms, 90)),
            p99=_rounded(percentile(ms, 99)),
            max=_rounded(max(ms)),
        )

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` % do not exceed, interpolated between its two neighbours.

    The same rule as numpy.percentile. Raises ValueError for no values or a percent outside 0..100.
    """
    if not values:
        raise ValueError("percentile of no values")
    if not 0 <= percent <= 100:
        raise ValueError(f"percent must lie in [0, 100], got {percent}")
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def median_of_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Of pairs that were measured one after the other: a slow drift of the machine cancels."""
    pairs = zip(numerators, denominators, strict=True)
    return median(numerator / denominator for numerator, denominator in pairs)


def _rounded(value: float) -> float:
    """Four significant digits: more is noise."""
    return float(f"{value:.4g}")
