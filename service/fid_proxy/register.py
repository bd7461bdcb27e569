"""All series: whose pictures each window holds, and what is told of it.

A window begins anew where a name stands for another table, or a model has other weights; what it
told last is kept beside it, so that a change for the worse can be seen.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from .samples import Reading, Sample, Series
from .window import Window

MAX_SERIES = 32  # a window of the bundled model's judge holds half a megabyte
STALE_S = 3600.0  # a series without a new picture for so long is told no more, and makes room


@dataclass(frozen=True)
class Standing:
    """A series as it is told."""

    maker: tuple[str, str]
    newest_at: float  # time.monotonic(): when its newest picture was asked for
    num_samples: int = 0
    reading: Reading | None = None  # None while the pictures are too few
    previous: Reading | None = None  # the last one of whatever had these labels before

    @property
    def is_stale(self) -> bool:
        return self.newest_at < time.monotonic() - STALE_S


class Register:
    """Written by one thread; `standings` may be read by any."""

    def __init__(self) -> None:
        self.standings: Mapping[Series, Standing] = {}  # never changed, only replaced
        self._windows: dict[Series, Window] = {}

    def has_room_for(self, series: Series) -> bool:
        return (
            series in self._windows
            or len(self._windows) < MAX_SERIES
            or any(standing.is_stale for standing in self.standings.values())
        )

    def has(self, sample: Sample) -> bool:
        """Whether the very picture is in a window."""
        standing = self.standings.get(sample.series)
        if standing is None or standing.maker != sample.maker:
            return False
        return self._windows[sample.series].has(sample.class_label, sample.seed)

    def add(self, sample: Sample, features: torch.Tensor) -> Window | None:
        """Put features (D,) into their window; None where they belong to none."""
        series = sample.series
        standing = self.standings.get(series)
        if standing is None:
            if not self.has_room_for(series):
                return None
            self._make_room()
            standing = self._begin(sample, previous=None)
        elif standing.maker != sample.maker:
            if sample.submitted_at <= standing.newest_at:
                return None  # a late picture of what had these labels before
            standing = self._begin(sample, standing.reading or standing.previous)
        window = self._windows[series]
        window.add(features, sample.class_label, sample.seed)
        newest_at = max(standing.newest_at, sample.submitted_at)
        self._tell(series, replace(standing, newest_at=newest_at, num_samples=window.count))
        return window

    def tell(self, series: Series, window: Window, reading: Reading | None) -> None:
        """What was found in a window, unless that is gone meanwhile."""
        if self._windows.get(series) is window:
            self._tell(series, replace(self.standings[series], reading=reading))

    def _begin(self, sample: Sample, previous: Reading | None) -> Standing:
        seen_by = sample.observatory
        self._windows[sample.series] = Window(seen_by.num_features, seen_by.num_classes)
        return Standing(sample.maker, sample.submitted_at, previous=previous)

    def _make_room(self) -> None:
        if len(self._windows) < MAX_SERIES:
            return
        stale = [series for series, standing in self.standings.items() if standing.is_stale]
        oldest = min(stale, key=lambda series: self.standings[series].newest_at)
        del self._windows[oldest]
        self.standings = {key: kept for key, kept in self.standings.items() if key != oldest}

    def _tell(self, series: Series, standing: Standing) -> None:
        self.standings = {**self.standings, series: standing}
