"""The tables published with papers, put into the store when a server first starts on it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict

from .errors import PromotionConflict
from .published import PublishedTable, published_tables
from .records import CHAMPION, JSON
from .store import SolverStore


def import_published(store: SolverStore) -> int:
    """Publish under names like flowdcn-b-256-10 what has no champion yet, and make it champion.

    Safe at every start and from several processes at once: where a name has a champion nothing is
    written, so what a person has promoted or rolled back stays. Returns how many were new.
    """
    live = {solver.name for solver in store.solvers() if CHAMPION in solver.aliases}
    num_new = 0
    for published in published_tables():
        if published.name in live:
            continue
        publication = store.publish(published.name, published.table, source=_source(published))
        num_new += publication.is_new
        _make_champion(store, published.name, publication.version.version)
    return num_new


def _make_champion(store: SolverStore, name: str, version: int) -> None:
    # Refused where another process was first; by now its alias may even have been moved on.
    with suppress(PromotionConflict):
        store.promote(name, CHAMPION, version, expected=None, by="import", note="as published")


def _source(published: PublishedTable) -> Mapping[str, JSON]:
    return {
        "kind": "published",
        "citation": published.source,
        "searched_on": published.searched_on,
        "figures": [asdict(figure) for figure in published.figures],
    }
