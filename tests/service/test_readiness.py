"""Ready is an engine that works, however slowly; not one that is stuck."""

import time
from dataclasses import replace

import pytest

from service.engine.stats import EngineStats
from service.errors import Draining, NotReady
from service.readiness import FRESH_S, PROBE_TIMEOUT_S, check_ready, is_ready

IDLE = EngineStats(
    queued_rows=0,
    lanes=0,
    waiting=0,
    row_limits={},
    seconds_per_row=0.01,
    steps=0,
    network_evaluations=0,
    last_progress_at=None,
    overdue_at=None,
    probe_patience_s=0.0,
    draining=False,
)


class Told:
    """An engine that looks as it is told to, before a probe and after it."""

    def __init__(
        self, before: EngineStats, after: EngineStats | None = None, answers: bool = False
    ):
        self._looks = [before, after or before]
        self._answers = answers
        self.waited_s: list[float] = []

    def stats(self) -> EngineStats:
        return self._looks[len(self.waited_s)]

    def probe(self, timeout_s: float) -> bool:
        self.waited_s.append(timeout_s)
        return self._answers


def test_recent_progress_is_enough() -> None:
    engine = Told(replace(IDLE, last_progress_at=time.monotonic() - FRESH_S / 2))
    check_ready(engine)
    assert not engine.waited_s


def test_long_work_that_is_not_overdue_is_enough() -> None:
    now = time.monotonic()
    engine = Told(replace(IDLE, last_progress_at=now - 100, overdue_at=now + 20))
    check_ready(engine)
    assert not engine.waited_s


def test_after_a_rest_a_probe_has_to_answer() -> None:
    rested = replace(IDLE, last_progress_at=time.monotonic() - 2 * FRESH_S)
    assert is_ready(Told(rested, answers=True))
    with pytest.raises(NotReady, match="did not come through in 3 s"):
        check_ready(Told(rested))


def test_a_probe_of_a_large_model_may_take_what_its_forwards_take() -> None:
    engine = Told(replace(IDLE, probe_patience_s=25.0), answers=True)
    check_ready(engine)
    assert engine.waited_s == [25.0]


def test_behind_work_that_is_overdue_nobody_waits_long() -> None:
    stuck = replace(IDLE, overdue_at=time.monotonic() - 1, probe_patience_s=25.0)
    engine = Told(stuck)
    with pytest.raises(NotReady):
        check_ready(engine)
    assert engine.waited_s == [PROBE_TIMEOUT_S]


def test_a_long_step_that_began_before_the_probe_is_enough() -> None:
    engine = Told(IDLE, after=replace(IDLE, overdue_at=time.monotonic() + 20))
    check_ready(engine)


def test_a_draining_engine_is_not_ready_whatever_it_does() -> None:
    with pytest.raises(Draining):
        check_ready(Told(replace(IDLE, last_progress_at=time.monotonic(), draining=True)))
