"""Servers and clients as child processes that end with the benchmark, whatever happens."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from . import environment

PROC = Path("/proc")
POLL_S = 0.02
STOP_S = 15.0
LOG_TAIL = 3000  # characters of a dead child's output that its error repeats

_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever the variables say


class BenchmarkError(Exception):
    """A benchmark cannot go on; the message says why."""


@dataclass(frozen=True)
class Child:
    """A running process and what it has written so far."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def log_tail(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-LOG_TAIL:]


@dataclass(frozen=True)
class Server:
    """A child that answers HTTP on this machine."""

    child: Child
    port: int
    start_s: float  # from its start to its first good answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Ended:
    """A command that has done what it was to do."""

    output: str  # its end
    seconds: float
    peak_bytes: int


@contextmanager
def running(command: Sequence[str], variables: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Run a command in its own process group; the whole group is gone at the end."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=environment.ROOT,
            env=_variables(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Child(process, log)
        finally:
            stop(process)


def run_to_end(
    command: Sequence[str], variables: Mapping[str, str] | None = None, timeout_s: float = 600.0
) -> Ended:
    """Raises BenchmarkError, with its last words, where it fails or takes too long."""
    started, peak = time.perf_counter(), 0
    with running(command, variables) as child:
        while child.process.poll() is None:
            if time.perf_counter() - started > timeout_s:
                raise BenchmarkError(
                    f"{' '.join(command)} took more than {timeout_s:g} s:\n{child.log_tail()}"
                )
            peak = max(peak, peak_bytes(child.pid))
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(POLL_S)
        ended = Ended(child.log_tail(), time.perf_counter() - started, peak)
        status = child.process.returncode
    if status != 0:
        raise BenchmarkError(f"{' '.join(command)} ended with status {status}:\n{ended.output}")
    return ended


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    ready_path: str,
    variables: Mapping[str, str] | None = None,
    timeout_s: float = 120.0,
) -> Iterator[Server]:
    """Run a server until the end of the block, which begins when `ready_path` answers 200."""
    started = time.perf_counter()
    with running(command, variables) as child:
        wait_until_ready(child, f"http://127.0.0.1:{port}{ready_path}", timeout_s)
        yield Server(child, port, time.perf_counter() - started)


def wait_until_ready(child: Child, url: str, timeout_s: float) -> None:
    """Raises BenchmarkError, with the child's last words, where it ends or takes too long."""
    deadline = time.monotonic() + timeout_s
    while not _answers(url):
        try:
            status = child.process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
            raise BenchmarkError(
                f"{url} was not ready within {timeout_s:g} s:\n{child.log_tail()}"
            ) from None
        raise BenchmarkError(f"the server ended with status {status}:\n{child.log_tail()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a child and its children: politely, then not."""
    if process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    _signal_group(process, signal.SIGKILL)  # also what an ended child has left behind
    process.wait()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def resident_bytes(pid: int) -> int:
    """Physical memory of a process, its children not counted. Raises BenchmarkError."""
    known = _status_bytes(pid, "VmRSS:")
    if known is not None:
        return known
    shown = subprocess.run(("ps", "-o", "rss=", "-p", str(pid)), capture_output=True, text=True)
    if shown.returncode != 0:
        raise BenchmarkError(f"process {pid} is gone")
    return int(shown.stdout) * 1024


def peak_bytes(pid: int) -> int:
    """The most that it was so far, mapped files included; where nobody keeps that, what it is now.

    0 for a process that has ended. What the kernel tells of ended children is no use: there the
    memory of whoever started them counts, too.
    """
    known = _status_bytes(pid, "VmHWM:")
    if known is None and not PROC.is_dir():
        with suppress(BenchmarkError):
            return resident_bytes(pid)
    return known or 0


def pids_of(argument: str) -> list[int]:
    """The processes that were started with it; none where the system does not show them."""
    found = []
    for path in PROC.glob("[0-9]*/cmdline"):
        with suppress(OSError):  # ended meanwhile
            if argument.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def _status_bytes(pid: int, field: str) -> int | None:
    """A line of the kernel's account of a process; None where there is none."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text("utf-8").splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return None


def _variables(given: Mapping[str, str]) -> dict[str, str]:
    """Ours, without the settings that whoever runs the benchmark has for his own server."""
    inherited = {name: value for name, value in os.environ.items() if name[:8] != "FEWSTEP_"}
    return inherited | {"PYTHONPATH": str(environment.ROOT)} | dict(given)


def _answers(url: str) -> bool:
    try:
        with _LOCAL.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return
