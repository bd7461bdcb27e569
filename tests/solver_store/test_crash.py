"""A process killed at any point leaves the store readable and complete, on both databases."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy import make_url

from solver_store.importing import import_published
from solver_store.published import published_tables
from solver_store.records import CHAMPION
from solver_store.store import SolverStore
from tests.solver_store.builders import euler
from tests.solver_store.processes import Processes


def assert_whole(store: SolverStore, acknowledged: dict[int, str]) -> None:
    """All that was acknowledged is there, and nothing is half there."""
    versions = store.versions("glyphs") if store.solvers() else []
    assert [found.version for found in versions] == list(range(1, len(versions) + 1))
    digests = {found.version: found.digest for found in versions}
    assert digests | acknowledged == digests
    assert all(len(found.evidence) == 1 for found in versions)
    url = store.database.url
    if store.database.is_sqlite:
        with closing(sqlite3.connect(str(make_url(url).database))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def stride(url: str) -> int:
    """How many statements further the next process is killed; connections are slower to make."""
    return 1 if url.startswith("sqlite") else 3


def test_a_process_killed_at_any_statement_leaves_all_or_nothing(
    database_url: str, store: SolverStore, processes: Processes
) -> None:
    """Each process repeats what the one before was killed in, and comes a little further."""
    acknowledged: dict[int, str] = {}
    revisions = [store.revision()]
    ended, point = False, 0
    while not ended:
        reports, ended = processes.kill_before_statement(
            database_url, point, "publish_and_promote", 0.5
        )
        acknowledged |= dict(reports)
        assert_whole(store, acknowledged)
        revisions.append(store.revision())
        point += stride(database_url)
    assert point > 20  # that many statements there were
    assert acknowledged == {1: euler(shade=0.5).digest}
    assert store.aliases("glyphs") == {CHAMPION: 1}
    # The only steps: the publication (a name, a version, its evidence), then the promotion.
    assert set(revisions) <= {0, 3, 4}
    assert revisions == sorted(revisions)


def test_a_process_killed_while_making_the_database_leaves_one_that_opens(
    new_url: Callable[[], str], processes: Processes
) -> None:
    """One database takes all the deaths in turn: in its making, then in the import."""
    url = new_url()
    ended, point = False, 0
    while not ended:
        _, ended = processes.kill_before_statement(url, point, "start")
        point += 2 * stride(url)
    assert point > 30
    with closing(SolverStore.open(url)) as store:
        import_published(store)
        assert all(solver.aliases == {CHAMPION: 1} for solver in store.solvers())
        assert len(store.solvers()) == len(published_tables())


@pytest.mark.parametrize("seed", range(2))
def test_a_process_killed_at_random_moments_keeps_what_it_acknowledged(
    database_url: str, store: SolverStore, processes: Processes, seed: int
) -> None:
    chance = random.Random(seed)
    acknowledged: dict[int, str] = {}
    for _ in range(5):
        shades = [chance.random() for _ in range(200)]
        reports = processes.kill_after(
            database_url, chance.randrange(5), chance.uniform(0, 0.005), "publish", *shades
        )
        acknowledged |= dict(reports)
        assert_whole(store, acknowledged)
    assert len(acknowledged) >= 5
