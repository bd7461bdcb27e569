"""A PostgreSQL server for the tests: in a folder of its own, reached by a unix socket.

Needs the server's programs (Debian: `apt-get install postgresql`). Where they are missing the tests
are skipped; in CI (CI=true) that is a failure.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest

# For tests that run on every database the store knows.
BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]

_READY = b"database system is ready to accept connections"

# Nothing here has to survive a power cut, so nothing waits for the disk.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "50",
    "autovacuum": "off",
}


class PostgresServer:
    """A running server; every database it makes is new and empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def create_database(self) -> str:
        """Make an empty database; returns its URL."""
        name = f"test{next(self._numbers)}"
        address = f"host={self._folder} user=postgres dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@/{name}?host={self._folder}"


@contextmanager
def running_postgresql() -> Iterator[PostgresServer]:
    """A server for as long as the block lasts, or a skip that says what to install."""
    programs = _find_programs()
    if programs is None:
        reason = "PostgreSQL's initdb and postgres are not installed (Debian: postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with _running_server(programs) as server:
        yield server


def _find_programs() -> Path | None:
    """The folder of initdb and postgres: on PATH, or where Debian keeps them."""
    on_path = shutil.which("initdb")
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major_version)
    folders = [Path(on_path).resolve().parent] if on_path else []
    for folder in [*folders, *reversed(packaged)]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def _major_version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def _server_identity() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: whom to run it as, for subprocess; ourselves if empty."""
    if os.geteuid() != 0:
        return {}
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    return {"user": user.pw_name, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def _running_server(programs: Path) -> Iterator[PostgresServer]:
    identity = _server_identity()
    # Not pytest's folder: a socket's path must be short, and the server's user must reach it.
    with tempfile.TemporaryDirectory(prefix="fewstep-pg-") as name:
        folder = Path(name)
        if identity:
            shutil.chown(folder, identity["user"])
        make = [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust"]
        make += ["-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(make, cwd=folder, check=True, capture_output=True, **identity)
        serve = [programs / "postgres", "-D", folder / "data", "-k", folder]
        serve += [f"--{key}={value}" for key, value in _SETTINGS.items()]
        with subprocess.Popen(serve, cwd=folder, stderr=subprocess.PIPE, **identity) as server:
            assert server.stderr is not None
            log = threading.Thread(target=server.stderr.read)
            try:
                _wait_until_ready(server.stderr)
                log.start()  # reads on, so that the server never waits for its log
                yield PostgresServer(folder)
            finally:
                server.send_signal(signal.SIGINT)  # a fast shutdown: clients are cut off
                if log.ident is not None:
                    log.join()


def _wait_until_ready(log: IO[bytes]) -> None:
    seen = []
    for line in log:
        seen.append(line)
        if _READY in line:
            return
    raise RuntimeError(b"".join(seen).decode())
