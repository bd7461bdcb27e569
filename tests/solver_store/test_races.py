"""Several threads and several processes at one store: every race has one winner."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from solver_store.errors import PromotionConflict
from solver_store.published import published_tables
from solver_store.records import CHAMPION
from solver_store.store import SolverStore
from tests.solver_store.builders import SOURCE, euler
from tests.solver_store.processes import Processes

NUM_RACERS = 4


def publish_all(store: SolverStore) -> None:
    for n in range(NUM_RACERS + 1):
        store.publish("glyphs", euler(shade=0.1 + 0.1 * n), source=SOURCE)
    store.promote("glyphs", CHAMPION, 1, expected=None, by="test")


def test_of_racing_threads_exactly_one_moves_the_alias(store: SolverStore) -> None:
    publish_all(store)
    barrier = threading.Barrier(NUM_RACERS)

    def race(version: int, expected: int) -> bool:
        barrier.wait()
        try:
            store.promote("glyphs", CHAMPION, version, expected=expected, by="race")
        except PromotionConflict:
            return False
        return True

    with ThreadPoolExecutor(NUM_RACERS) as threads:
        for round_number in range(1, 4):
            expected = store.aliases("glyphs")[CHAMPION]
            others = [n for n in range(1, NUM_RACERS + 2) if n != expected]
            won = list(threads.map(race, others, [expected] * NUM_RACERS))
            assert won.count(True) == 1
            assert store.aliases("glyphs")[CHAMPION] == others[won.index(True)]
            assert len(store.alias_history("glyphs")) == 1 + round_number


def test_of_racing_processes_exactly_one_moves_the_alias(
    store: SolverStore, database_url: str, processes: Processes
) -> None:
    publish_all(store)
    for round_number in range(1, 3):
        expected = store.aliases("glyphs")[CHAMPION]
        others = [n for n in range(1, NUM_RACERS + 2) if n != expected]
        outcomes = processes.race(database_url, *[("promote", n, expected) for n in others])
        assert outcomes.count(["won"]) == 1
        winner = others[outcomes.index(["won"])]
        assert store.aliases("glyphs")[CHAMPION] == winner
        assert outcomes.count([winner]) == NUM_RACERS - 1  # the others are told who won
        assert len(store.alias_history("glyphs")) == 1 + round_number


def test_racing_publications_are_numbered_without_gaps(
    store: SolverStore, database_url: str, processes: Processes
) -> None:
    shades = [[0.01 * (5 * racer + n + 1) for n in range(5)] for racer in range(NUM_RACERS)]
    outcomes = processes.race(database_url, *[("publish", *own, 0.9) for own in shades])
    numbered = {version: digest for reports in outcomes for version, digest in reports}
    assert sorted(numbered) == list(range(1, 5 * NUM_RACERS + 2))  # all published one in common
    versions = store.versions("glyphs")
    assert {found.version: found.digest for found in versions} == numbered
    assert all(len(found.evidence) == 1 for found in versions)
    # One name, and for each version one row of its own and one of evidence.
    assert store.revision() == 1 + 2 * len(versions)


def test_processes_that_open_a_new_database_together_make_it_once(
    new_url: Callable[[], str], processes: Processes
) -> None:
    for _ in range(3):
        assert processes.race(new_url(), *[("make",)] * NUM_RACERS) == [[0]] * NUM_RACERS


def test_processes_that_start_together_import_each_table_once(
    new_url: Callable[[], str], processes: Processes
) -> None:
    url = new_url()
    num_new = [new for (new,) in processes.race(url, *[("start",)] * NUM_RACERS)]
    assert sum(num_new) == len(published_tables())
    with closing(SolverStore.open(url)) as store:
        assert len(store.solvers()) == len(published_tables())
        for solver in store.solvers():
            assert (solver.num_versions, solver.aliases) == (1, {CHAMPION: 1})
            assert len(store.alias_history(solver.name)) == 1
