"""Jobs for the tests: the same tests run on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from search_jobs.broker import Broker
from search_jobs.job_store import JobStore
from search_jobs.queue import SearchQueue
from solver_store.store import SolverStore
from tests.servers.postgresql import BACKENDS, PostgresServer

OpenQueue = Callable[[Broker | None], SearchQueue]


@pytest.fixture(scope="session")
def postgresql_jobs(postgresql_server: PostgresServer) -> Iterator[Engine]:
    url = postgresql_server.create_database()
    SolverStore.open(url).close()
    engine = create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database; on PostgreSQL always the same one, emptied."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    engine = request.getfixturevalue("postgresql_jobs")
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE search_jobs, solvers CASCADE"))
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def store(database_url: str) -> Iterator[SolverStore]:
    with closing(SolverStore.open(database_url)) as opened:
        yield opened


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
) -> Iterator[Callable[[Broker | None], SearchQueue]]:
    opened: list[SearchQueue] = []

    def open_one(broker: Broker | None) -> SearchQueue:
        opened.append(SearchQueue.open(sqlite_store.database, broker))
        return opened[-1]

    yield open_one
    for queue in opened:
        queue.close()


@pytest.fixture
def queue(open_search_queue: Callable[[Broker | None], SearchQueue], broker: Broker) -> SearchQueue:
    return open_search_queue(broker)
