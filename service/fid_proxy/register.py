"""All series: whose pictures each window holds, and what is told of it.

A window begins anew where a name stands for another table, or a model has other weights; what it
told last is kept beside it, so that a change for the worse can be seen.

Each source has places of its own, so that no request takes a canary's. Where they are all taken, a
picture of one more series is turned away, and lowers the claim of the weakest; a series without a
claim makes room. What is asked for often so finds a place and keeps it, however many others are
asked for a few times.

Source of the claims: Misra & Gries, "Finding repeated elements" (1982).
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import torch

from .samples import Reading, Sample, Series, Source
from .window import Window, minimum

MAX_SERIES = 32  # of a source; a window of the bundled model's judge holds half a megabyte
MAX_FORMER = 64  # series without a window of which it is known what they told last
STALE_S = 3600.0  # a series without a new picture for so long is told no more, and makes room


@dataclass(frozen=True)
class Standing:
    """A series as it is told."""

    maker: tuple[str, str]
    newest_at: float  # time.monotonic(): when its newest picture was asked for
    num_samples: int = 0
    reading: Reading | None = None  # None while the pictures are too few
    previous: Reading | None = None  # the last one of whatever had these labels before
    claim: int = 0  # to its place: its pictures, no more than it needs, less those turned away

    @property
    def is_stale(self) -> bool:
        return self.newest_at < time.monotonic() - STALE_S

    @property
    def makes_room(self) -> bool:
        return self.is_stale or self.claim == 0

    @property
    def strength(self) -> tuple[bool, bool, int, float]:
        """Of several that could make room, the least is to do so."""
        return not self.is_stale, self.reading is not None, self.claim, self.newest_at

    def previous_for(self, maker: tuple[str, str]) -> Reading | None:
        """What was told last by another maker than this."""
        return self.previous if maker == self.maker else self.reading or self.previous


class Register:
    """Written by one thread; `standings` may be read by any."""

    def __init__(self) -> None:
        self.standings: Mapping[Series, Standing] = {}  # never changed, only replaced
        self._windows: dict[Series, Window] = {}
        self._former: dict[Series, Standing] = {}  # that left, the latest last

    def ask_for_place(self, series: Series) -> bool:
        """Whether a picture would find one; where not, the weakest loses some of its claim."""
        if series in self._windows:
            return True
        weakest = self._weakest(series.source)
        if weakest is None or self.standings[weakest].makes_room:
            return True
        standing = self.standings[weakest]
        self._tell(weakest, replace(standing, claim=standing.claim - 1))
        return False

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
            if not self._make_room(series.source):
                return None
            standing = self._begin(sample, self._former.pop(series, None))
        elif standing.maker != sample.maker:
            if sample.submitted_at <= standing.newest_at:
                return None  # a late picture of what had these labels before
            standing = self._begin(sample, standing)
        window = self._windows[series]
        window.add(features, sample.class_label, sample.seed)
        grown = replace(
            standing,
            newest_at=max(standing.newest_at, sample.submitted_at),
            num_samples=window.count,
            claim=min(standing.claim + 1, minimum(sample.observatory.num_features)),
        )
        self._tell(series, grown)
        return window

    def tell(self, series: Series, window: Window, reading: Reading | None) -> None:
        """What was found in a window, unless that is gone meanwhile."""
        if self._windows.get(series) is window:
            self._tell(series, replace(self.standings[series], reading=reading))

    def keep_only(self, models: Collection[str]) -> None:
        """The series of all other models leave."""
        for series in self.standings:
            if series.model not in models:
                self._leave(series)

    def _begin(self, sample: Sample, former: Standing | None) -> Standing:
        """former: what had these labels before, and whose claim is taken over"""
        seen_by = sample.observatory
        self._windows[sample.series] = Window(seen_by.num_features, seen_by.num_classes)
        begun = Standing(sample.maker, sample.submitted_at)
        if former is None:
            return begun
        return replace(begun, previous=former.previous_for(sample.maker), claim=former.claim)

    def _weakest(self, source: Source) -> Series | None:
        """Who is the next to make room; None while there is some."""
        rivals = {k: standing for k, standing in self.standings.items() if k.source is source}
        if len(rivals) < MAX_SERIES:
            return None
        return min(rivals, key=lambda series: rivals[series].strength)

    def _make_room(self, source: Source) -> bool:
        """Returns whether there is a place now."""
        weakest = self._weakest(source)
        if weakest is None:
            return True
        if not self.standings[weakest].makes_room:
            return False
        self._leave(weakest)
        return True

    def _leave(self, series: Series) -> None:
        standing = self.standings[series]
        del self._windows[series]
        self.standings = {key: kept for key, kept in self.standings.items() if key != series}
        if standing.reading or standing.previous:
            self._former[series] = replace(standing, claim=0)
        if len(self._former) > MAX_FORMER:
            del self._former[next(iter(self._former))]

    def _tell(self, series: Series, standing: Standing) -> None:
        self.standings = {**self.standings, series: standing}
