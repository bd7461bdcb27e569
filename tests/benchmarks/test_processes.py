import os
import sys

import pytest

from benchmarks.processes import BenchmarkError, free_port, resident_bytes, running, serving

WAITS = (sys.executable, "-c", "import sys; sys.stdin.close(); import threading; "
         "threading.Event().wait()")  # fmt: skip
DIES = (sys.executable, "-c", "print('last words'); raise SystemExit(3)")


def test_a_child_is_gone_after_the_block() -> None:
    with running(WAITS) as child:
        assert resident_bytes(child.pid) > 0

    assert child.process.poll() is not None


def test_a_child_is_gone_after_an_error_in_the_block() -> None:
    with pytest.raises(KeyboardInterrupt), running(WAITS) as child:
        raise KeyboardInterrupt

    assert child.process.poll() is not None


def test_a_server_that_ends_before_it_is_ready_is_quoted() -> None:
    with (
        pytest.raises(BenchmarkError, match="status 3:\nlast words"),
        serving(DIES, free_port(), "/readyz"),
    ):
        pass


def test_a_server_that_never_becomes_ready_is_given_up() -> None:
    with (
        pytest.raises(BenchmarkError, match="not ready within"),
        serving(WAITS, free_port(), "/readyz", timeout_s=0.1),
    ):
        pass


def test_settings_of_the_caller_do_not_reach_the_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(os.environ, "FEWSTEP_PORT", "1")
    code = "import os; print([name for name in os.environ if name.startswith('FEWSTEP_')])"
    with running((sys.executable, "-c", code), {"FEWSTEP_HOME": "here"}) as child:
        child.process.wait(30)
        assert child.log_tail().strip() == "['FEWSTEP_HOME']"
