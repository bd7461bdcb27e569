"""For every test: one torch thread, and databases.

Tiny tensors gain nothing from more threads, and results repeat.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from sqlalchemy import Engine, create_engine, text

from solver_store.store import SolverStore
from tests.servers.postgresql import BACKENDS, PostgresServer, running_postgresql

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: PostgresServer) -> Iterator[Engine]:
    """One for all tests: to make its tables takes longer than to empty them."""
    url = postgresql_server.create_database()
    SolverStore.open(url).close()
    engine = create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The database of an empty store: the same tests run on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    engine = request.getfixturevalue("postgresql_database")
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE search_jobs, solvers CASCADE"))
        connection.execute(text("UPDATE store_revision SET revision = 0"))
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def store(database_url: str) -> Iterator[SolverStore]:
    with closing(SolverStore.open(database_url)) as opened:
        yield opened
