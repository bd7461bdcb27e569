"""A child process that is kept running."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from search_jobs import tied

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0  # a search goes on within 15 s of any failure
LASTING_S = 20.0  # a child that ran so long ended for a new reason: the pauses begin anew


class Child:
    """Starts a command, and again whenever it ends, with longer pauses where it ends soon.

    Its process leads a group of its own: Ctrl+C on a terminal does not reach it, and whatever it
    has started is ended with it. On Linux it also ends with the thread that calls `tend`, see
    search_jobs/tied.py, so all calls are to come from one that lives as long as the server.
    """

    def __init__(self, name: str, command: Sequence[str], variables: Mapping[str, str]):
        self.name = name
        self._command = command
        self._variables = variables  # its whole environment
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_at = 0.0  # not before
        self._pause_s = FIRST_PAUSE_S

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def tend(self) -> None:
        """Start it where it does not run and the pause is over."""
        now = time.monotonic()
        if self._process is not None:
            self._look_after(self._process, now)
        if self._process is None and now >= self._start_at:
            self._start(now)

    def ask_to_end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def end(self, by: float) -> None:
        """Wait until `by` (time.monotonic()), then kill it and all that it has started."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, by - time.monotonic()))
        self._kill_group(self._process)
        self._process.wait()
        self._process = None

    def _start(self, now: float) -> None:
        with_signal = str(int(signal.SIGKILL))
        tying = [sys.executable, "-I", tied.__file__, str(os.getpid()), with_signal]
        try:
            self._process = subprocess.Popen(
                [*tying, *self._command],
                env=self._variables,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:  # no memory, or no more processes
            self._pause(now, f"cannot be started: {error}")
            return
        self._started_at = now

    def _look_after(self, process: subprocess.Popen[bytes], now: float) -> None:
        status = process.poll()
        if status is None:
            return
        self._kill_group(process)
        self._process = None
        if now - self._started_at > LASTING_S:
            self._pause_s = FIRST_PAUSE_S
        self._pause(now, f"has ended with status {status}")

    def _pause(self, now: float, reason: str) -> None:
        logger.warning("the %s %s; next start in %g s", self.name, reason, self._pause_s)
        self._start_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nothing is left of it
            os.killpg(process.pid, signal.SIGKILL)
