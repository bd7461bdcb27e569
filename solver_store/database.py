"""One database, SQLite or PostgreSQL: transactions, and errors in our own words.

Two kinds of transaction, the same on both databases:

- `reading()` sees one snapshot, however many queries it makes, and waits for nobody.
- `writing()` is alone: writers queue up for one lock (`BEGIN IMMEDIATE` on SQLite, an advisory
  lock on PostgreSQL), so that what a writer has read stays true until it commits. Records are few
  and small; a queue of writers costs nothing, and leaves no race to reason about.

Threads may share a Database; processes open their own. After a fork, open again.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy import exc as sql_errors

from .errors import StoreDamaged, StoreUnavailable

# Any number will do; every writer of one PostgreSQL database takes the lock of this number.
_WRITE_LOCK = 5_391_240_077


class Database:
    """An engine that hands out transactions; see the module for their contract.

    Every method raises StoreUnavailable when the database cannot be reached or stays locked for
    longer than its timeout, StoreDamaged when it does not hold what it should, and never
    SQLAlchemy's errors.
    """

    def __init__(self, engine: Engine) -> None:
        self.url = engine.url
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._engine = engine
        if self.is_sqlite:
            self._readers = engine
            self._writers = engine.execution_options(begin="BEGIN IMMEDIATE")
        else:
            self._readers = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._writers = engine.execution_options(isolation_level="READ COMMITTED")

    @classmethod
    def open(cls, url: str, timeout_s: float = 5.0) -> "Database":
        """Connect to `sqlite:///path/to/file` or `postgresql://…`; a missing folder is made.

        Raises StoreUnavailable also for a URL that names no such database.
        """
        parsed = _parse_url(url)
        if parsed.get_backend_name() == "sqlite":
            return cls(_open_sqlite(parsed, timeout_s))
        return cls(_open_postgresql(parsed, timeout_s))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one snapshot and changes nothing."""
        with _own_errors(self.url), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The only writing transaction at this time: commits at the end, or changes nothing."""
        with _own_errors(self.url), self._writers.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"))
            yield connection


def _parse_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except sql_errors.ArgumentError:
        # The text is not repeated: it may hold a password.
        raise StoreUnavailable(
            "the database URL cannot be read; it looks like sqlite:///var/fewstep.db or "
            "postgresql://user:password@host/database"
        ) from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise StoreUnavailable(f"the database must be sqlite or postgresql, got {backend}")
    if not parsed.database or parsed.database == ":memory:":
        raise StoreUnavailable("a SQLite database needs a file: sqlite:///path/to/file")
    return parsed.set(drivername="sqlite")


def _open_sqlite(url: URL, timeout_s: float) -> Engine:
    path = Path(url.database or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"{path.parent}: {error.strerror}") from error
    engine = create_engine(url, connect_args={"timeout": timeout_s}, pool_timeout=timeout_s)

    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver starts no transactions: _begin_sqlite does
        _turn_on_wal(connection, timeout_s)
        connection.execute("PRAGMA foreign_keys = ON")
        # An acknowledged version survives a power cut. That is one fsync for each commit, a
        # millisecond or so, and commits are rare; NORMAL would lose the last ones.
        connection.execute("PRAGMA synchronous = FULL")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _turn_on_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """With a write-ahead log readers and the writer do not wait for each other.

    The file remembers it. SQLite does not wait for its busy timeout where several processes turn
    a new file over at once, so the waiting is done here.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _open_postgresql(url: URL, timeout_s: float) -> Engine:
    engine = create_engine(
        url,
        connect_args={"connect_timeout": max(2, round(timeout_s))},
        pool_timeout=timeout_s,
        pool_pre_ping=True,  # a restarted server costs nobody an error
    )

    def prepare(connection: Any, _record: object) -> None:
        connection.execute(f"SET lock_timeout = {max(1, round(timeout_s * 1000))}")
        connection.commit()

    event.listen(engine, "connect", prepare)
    return engine


@contextmanager
def _own_errors(url: URL) -> Iterator[None]:
    try:
        yield
    except (
        sql_errors.OperationalError,
        sql_errors.InterfaceError,
        sql_errors.InternalError,
        sql_errors.TimeoutError,
    ) as error:
        raise StoreUnavailable(_message(url, error)) from error
    except sql_errors.SQLAlchemyError as error:
        raise StoreDamaged(_message(url, error)) from error


def _message(url: URL, error: sql_errors.SQLAlchemyError) -> str:
    """Where and why, without the statement, its values or the password."""
    reason = error.orig if isinstance(error, sql_errors.DBAPIError) else error
    return f"{url.render_as_string(hide_password=True)}: {reason}"
