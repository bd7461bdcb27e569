"""Which versions the champions are, and since when: what dashboards mark promotions by."""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from solver_store.errors import StoreError
from solver_store.records import CHAMPION, AliasMove, SolverSummary
from solver_store.store import SolverStore

logger = logging.getLogger(__name__)

LABELS = ("model", "steps", "solver")
MAX_CHAMPIONS = 64  # the newest names; each is a label value


@dataclass(frozen=True)
class Champion:
    labels: tuple[str, str, str]
    move: AliasMove  # the last one


class ChampionGauges(Collector):
    """Of the models that are or were resident; absent while the database is away.

    Asked of the database again only when it has changed, or a model came.
    """

    def __init__(self, store: SolverStore, models: Collection[str]):
        self._store = store
        self._models = models
        self._known: tuple[int, frozenset[str]] | None = None  # the revision and models of these:
        self._champions: Sequence[Champion] = ()

    def collect(self) -> Iterator[Metric]:
        try:
            self._refresh()
        except StoreError as error:
            logger.warning("the champions cannot be told: %s", error)
            return
        yield from _families(self._champions)

    def describe(self) -> Iterator[Metric]:
        """Nothing: asked at registration."""
        return iter(())

    def _refresh(self) -> None:
        known = self._store.revision(), frozenset(self._models)
        if known != self._known:
            self._champions = [*islice(self._read(known[1]), MAX_CHAMPIONS)]
            self._known = known

    def _read(self, models: Collection[str]) -> Iterator[Champion]:
        """The newest names first."""
        entries = [entry for entry in self._store.solvers() if _is_champion(entry, models)]
        for entry in sorted(entries, key=lambda entry: entry.created_at, reverse=True):
            moves = self._store.alias_history(entry.name)
            move = next(move for move in reversed(moves) if move.alias == CHAMPION)
            model = entry.target.model if entry.target else ""
            yield Champion((model, str(entry.steps), entry.name), move)


def _is_champion(entry: SolverSummary, models: Collection[str]) -> bool:
    target = entry.target
    return target is not None and target.model in models and CHAMPION in entry.aliases


def _families(champions: Sequence[Champion]) -> Iterator[Metric]:
    version = GaugeMetricFamily(
        "fewstep_champion_version", "The version that `auto` follows.", labels=LABELS
    )
    previous = GaugeMetricFamily(
        "fewstep_champion_previous_version", "The one before it: to roll back to.", labels=LABELS
    )
    moved_at = GaugeMetricFamily(
        "fewstep_champion_moved_timestamp_seconds", "When it was promoted.", labels=LABELS
    )
    for champion in champions:
        move = champion.move
        version.add_metric(champion.labels, move.to_version)
        moved_at.add_metric(champion.labels, move.moved_at.timestamp())
        if move.from_version is not None:
            previous.add_metric(champion.labels, move.from_version)
    yield from (version, previous, moved_at)
