"""The folder of our own Redis: who owns it, where its socket is, what it keeps.

lock            held by the process that runs the server
socket-path     where the socket is, for other processes
redis.sock      the socket; in a short temporary folder where this path is too long for one
redis.log
appendonlydir/  what the server keeps
"""

import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import IO

from .errors import BrokerUnavailable

MAX_SOCKET_PATH_BYTES = 100  # the systems' own limits are 104 and 108
SOCKET = "redis.sock"


class BrokerFolder:
    """Nobody but this user can look into it. Raises BrokerUnavailable where it cannot be made."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.log = self.path / "redis.log"
        self._socket_path = self.path / "socket-path"
        self._lock: IO[bytes] | None = None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise BrokerUnavailable(f"{self.path}: {error.strerror}") from error

    @property
    def socket(self) -> Path:
        """Where the socket is, or was when there last was one."""
        try:
            return Path(self._socket_path.read_text("utf-8"))
        except FileNotFoundError:
            return self.path / SOCKET

    def lock(self) -> bool:
        """Whether this process owns the folder, from now on until `release`."""
        if self._lock is not None:
            return True
        file = (self.path / "lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._lock = file
        return True

    def prepare_socket(self) -> None:
        """Decide where the socket is to be, and write it down; where it was, if that will do."""
        socket = self.socket
        if socket.parent != self.path and not _is_private(socket.parent):
            socket = self.path / SOCKET
        if len(os.fsencode(socket)) > MAX_SOCKET_PATH_BYTES:
            socket = Path(tempfile.mkdtemp(prefix="fewstep-redis-")) / SOCKET
        socket.unlink(missing_ok=True)
        self._socket_path.write_text(str(socket), "utf-8")

    def forget_contents(self) -> None:
        shutil.rmtree(self.path / "appendonlydir", ignore_errors=True)

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _is_private(folder: Path) -> bool:
    """Whether it is a folder of this user that nobody else can look into."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and stat.S_IMODE(status.st_mode) == 0o700
        and status.st_uid == os.getuid()
    )
