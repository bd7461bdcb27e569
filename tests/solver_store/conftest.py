"""Databases in all conditions: new, filled, tampered with, locked."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from solver_store.store import SolverStore
from tests.servers.postgresql import BACKENDS
from tests.solver_store.builders import GLYPHS, SOURCE, euler
from tests.solver_store.processes import Processes


@pytest.fixture(params=BACKENDS)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Databases that do not exist yet (SQLite), or hold nothing yet (PostgreSQL)."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql_server").create_database
    numbers = iter(range(1000))
    return lambda: f"sqlite:///{tmp_path}/folder{next(numbers)}/store.db"


@pytest.fixture
def filled(store: SolverStore) -> SolverStore:
    """glyphs-g1.5-2 with three versions; the second is its champion, the third is faithful."""
    name = GLYPHS.solver_name(2)
    for shade in (0.3, 0.4, 0.5):
        store.publish(name, euler(shade=shade), source=SOURCE, target=GLYPHS)
    store.promote(name, "champion", 1, expected=None, by="test")
    store.promote(name, "champion", 2, expected=1, by="test", note="lower distance")
    store.promote(name, "faithful", 3, expected=None, by="test")
    return store


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes() as running:
        yield running


@pytest.fixture
def tamper(database_url: str) -> Callable[[str], None]:
    """Change the database behind the store's back."""

    def run(statement: str) -> None:
        engine = create_engine(database_url)
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()

    return run


@pytest.fixture
def locked(database_url: str) -> Callable[[], AbstractContextManager[None]]:
    """Another program that holds the whole database and does not let go."""

    @contextmanager
    def holding() -> Iterator[None]:
        engine = create_engine(database_url)
        if engine.dialect.name == "sqlite":
            with closing(sqlite3.connect(str(make_url(database_url).database))) as connection:
                connection.execute("BEGIN EXCLUSIVE")
                yield
        else:
            with engine.begin() as connection:
                connection.execute(text("LOCK TABLE store_revision IN ACCESS EXCLUSIVE MODE"))
                yield
        engine.dispose()

    return holding
