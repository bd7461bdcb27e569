"""Other processes at the same database: racing each other, or killed in the middle of their work.

Run as a program, this forks the processes it is told to: one JSON line in, one JSON line out.
Forking takes a few milliseconds, where starting Python and SQLAlchemy takes half a second; and it
happens here, not in pytest, which has threads.
"""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from solver_store.errors import PromotionConflict
from solver_store.importing import import_published
from solver_store.records import CHAMPION
from solver_store.store import SolverStore
from tests.solver_store.builders import SOURCE, euler, evidence

_FAILED = "failed"
ROOT = Path(__file__).parents[2]


class Processes(AbstractContextManager["Processes"]):
    """The tests' end of the pipe. A piece of work is the name of a function in WORK, and values."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.solver_store.processes"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def race(self, url: str, *work: tuple[Any, ...]) -> list[list[Any]]:
        """One process for each piece of work, let go together; returns what each reported."""
        return self._ask("race", url, work)

    def kill_before_statement(self, url: str, point: int, *work: Any) -> tuple[list[Any], bool]:
        """Kill a process before its n-th statement or commit, opening the store included.

        Returns what it reported until then, and whether it came to its end before.
        """
        return self._ask("kill_before_statement", url, point, work)

    def kill_after(self, url: str, num_reports: int, delay_s: float, *work: Any) -> list[Any]:
        """Kill a process some time after its n-th report; returns all that it reported."""
        return self._ask("kill_after", url, num_reports, delay_s, work)

    def _ask(self, *request: Any) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        assert _FAILED not in answer, answer
        return json.loads(answer)

    def __exit__(self, *_: object) -> None:
        with self._child:
            assert self._child.stdin is not None
            self._child.stdin.close()


class Wire:
    """A forked process's line to the one that forked it."""

    def __init__(self, gate: tuple[int, int], reports: int) -> None:
        self._gate_out, self._gate_in = gate
        self._reports = reports

    def report(self, value: Any) -> None:
        os.write(self._reports, json.dumps(value).encode() + b"\n")

    def wait_at_the_gate(self) -> None:
        """Say that all is prepared, and wait for the others."""
        self.report("at the gate")
        os.close(self._gate_in)
        os.read(self._gate_out, 1)  # returns when no writing end is left open


def promote(url: str, wire: Wire, version: int, expected: int) -> None:
    store = SolverStore.open(url, timeout_s=20.0)
    wire.wait_at_the_gate()
    try:
        store.promote("glyphs", CHAMPION, version, expected=expected, by="race")
        wire.report("won")
    except PromotionConflict as conflict:
        wire.report(conflict.current)


def publish(url: str, wire: Wire, *shades: float) -> None:
    store = SolverStore.open(url, timeout_s=20.0)
    wire.wait_at_the_gate()
    for shade in shades:
        made = store.publish("glyphs", euler(shade=shade), source=SOURCE, evidence=[evidence()])
        wire.report([made.version.version, made.version.digest])


def publish_and_promote(url: str, wire: Wire, shade: float) -> None:
    store = SolverStore.open(url, timeout_s=20.0)
    wire.wait_at_the_gate()
    made = store.publish("glyphs", euler(shade=shade), source=SOURCE, evidence=[evidence()])
    wire.report([made.version.version, made.version.digest])
    current = store.aliases("glyphs").get(CHAMPION)
    store.promote("glyphs", CHAMPION, made.version.version, expected=current, by="victim")


def start(url: str, wire: Wire) -> None:
    """What a server does first; making the database is part of it."""
    wire.wait_at_the_gate()
    wire.report(import_published(SolverStore.open(url, timeout_s=20.0)))


def make(url: str, wire: Wire) -> None:
    wire.wait_at_the_gate()
    wire.report(SolverStore.open(url, timeout_s=20.0).revision())


WORK = {work.__name__: work for work in (promote, publish, publish_and_promote, start, make)}


class Forked:
    """A process at its work, seen from the one that forked it."""

    def __init__(
        self, url: str, work: list[Any], gate: tuple[int, int], kill_before: int | None = None
    ) -> None:
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_work(url, work, Wire(gate, writing), kill_before))
        os.close(writing)
        self._lines = os.fdopen(self._reading)

    def report(self) -> Any:
        """The next report; None at the end, also where it was cut off."""
        line = self._lines.readline()
        return json.loads(line) if line.endswith("\n") else None

    def reports(self) -> list[Any]:
        """All further reports, up to the end of the process."""
        found = list(iter(self.report, None))
        self._lines.close()
        _, self.status = os.waitpid(self.pid, 0)
        return found

    def wait_for_report(self, timeout_s: float) -> None:
        select.select([self._reading], [], [], timeout_s)


def _work(url: str, work: list[Any], wire: Wire, kill_before: int | None) -> int:
    name, *values = work
    if kill_before is not None:
        _arm(kill_before)
    try:
        WORK[name](url, wire, *values)
    except BaseException as error:
        wire.report(f"{_FAILED}: {error!r}")
        return 1
    return 0


def _arm(num_left: int) -> None:
    """Let this process kill itself before its n-th statement or commit."""

    def count(*_: Any) -> None:
        nonlocal num_left
        num_left -= 1
        if num_left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)


def _race(url: str, work: list[list[Any]]) -> list[list[Any]]:
    gate = os.pipe()
    racers = [Forked(url, entry, gate) for entry in work]
    for racer in racers:
        racer.report()
    _open(gate)
    return [racer.reports() for racer in racers]


def _kill_before_statement(url: str, point: int, work: list[Any]) -> tuple[list[Any], bool]:
    gate = os.pipe()
    victim = Forked(url, work, gate, kill_before=point)
    _open(gate)
    return victim.reports()[1:], victim.status == 0


def _kill_after(url: str, num_reports: int, delay_s: float, work: list[Any]) -> list[Any]:
    gate = os.pipe()
    victim = Forked(url, work, gate)
    _open(gate)
    seen = [victim.report() for _ in range(num_reports + 1)]
    victim.wait_for_report(delay_s)
    os.kill(victim.pid, signal.SIGKILL)
    return (seen + victim.reports())[1:]


def _open(gate: tuple[int, int]) -> None:
    for end in gate:
        os.close(end)


def main() -> None:
    answers = {
        "race": _race,
        "kill_before_statement": _kill_before_statement,
        "kill_after": _kill_after,
    }
    for line in sys.stdin:
        question, *values = json.loads(line)
        print(json.dumps(answers[question](*values)), flush=True)


if __name__ == "__main__":
    main()
