"""Job stores on every database, and queues on a Redis."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from search_jobs.broker import Broker
from search_jobs.job_store import JobStore
from search_jobs.queue import SearchQueue
from solver_store.store import SolverStore

OpenQueue = Callable[[Broker | None], SearchQueue]


@pytest.fixture
def jobs(store: SolverStore) -> JobStore:
    return JobStore(store.database)


@pytest.fixture
def hurried(store: SolverStore) -> JobStore:
    """Claims made through this one run out at once."""
    return JobStore(store.database, lease_s=0.0)


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SolverStore]:
    """For what does not depend on the database."""
    with closing(SolverStore.open(f"sqlite:///{tmp_path}/fewstep.db")) as opened:
        yield opened


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker.open(None, tmp_path) as opened:
        yield opened


@pytest.fixture
def open_search_queue(
    sqlite_store: SolverStore,
) -> Iterator[OpenQueue]:
    opened: list[SearchQueue] = []

    def open_one(broker: Broker | None) -> SearchQueue:
        opened.append(SearchQueue.open(sqlite_store.database, broker))
        return opened[-1]

    yield open_one
    for queue in opened:
        queue.close()


@pytest.fixture
def queue(open_search_queue: OpenQueue, broker: Broker) -> SearchQueue:
    return open_search_queue(broker)
