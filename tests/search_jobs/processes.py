"""Workers as processes of their own, with a search that is quick and always finds the same."""

import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    if sys.platform != "linux":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in "ZX"


class WorkerProcess(AbstractContextManager["WorkerProcess"]):
    """A worker of a data folder; started again by whoever killed it, as a supervisor would."""

    def __init__(
        self, home: Path, redis_url: str, program: str = "tests.search_jobs.quick_worker"
    ) -> None:
        self._program = program
        self.log = home / "worker.log"
        self._environment = os.environ | {
            "FEWSTEP_HOME": str(home),
            "FEWSTEP_REDIS_URL": redis_url,
            "PYTHONPATH": str(ROOT),
        }
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._program],
                cwd=ROOT, env=self._environment, start_new_session=True, stderr=log,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def ask_to_end(self) -> int:
        """SIGTERM; returns the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self, at_most_s: float = 10) -> int:
        """Until it ends by itself; returns the exit status."""
        return self._process.wait(at_most_s)

    def __exit__(self, *_: object) -> None:
        if self.is_running():
            self.kill()
        print(self.log.read_text(), file=sys.stderr)  # shown where a test fails
