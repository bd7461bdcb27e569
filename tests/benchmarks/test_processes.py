import os
import sys

import pytest

from benchmarks.processes import (
    BenchmarkError,
    free_port,
    peak_bytes,
    pids_of,
    resident_bytes,
    run_to_end,
    running,
    serving,
)
from tests.service.live import wait_until

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


def test_a_command_is_run_to_its_end() -> None:
    ended = run_to_end((sys.executable, "-c", "import time; print('done'); time.sleep(0.2)"))
    assert ended.output == "done\n"
    assert 0.2 <= ended.seconds < 30


def test_the_memory_of_a_command_is_its_own() -> None:
    """Not that of this process, which is larger, and which the kernel has its children inherit."""
    code = "import time; x = bytearray(50 << 20); del x; time.sleep(0.3)"
    ours = bytearray(200 << 20)
    ended = run_to_end((sys.executable, "-c", code))
    del ours
    assert 50 << 20 < ended.peak_bytes < 150 << 20


def test_a_command_that_fails_or_hangs_is_quoted() -> None:
    with pytest.raises(BenchmarkError, match="status 3:\nlast words"):
        run_to_end(DIES)
    with pytest.raises(BenchmarkError, match=r"took more than 0\.2 s"):
        run_to_end(WAITS, timeout_s=0.2)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="the system does not show processes there")
def test_processes_are_found_by_an_argument() -> None:
    code = "import time; time.sleep(60)"
    with running((sys.executable, "-c", code, "some-job")) as child:
        wait_until(lambda: pids_of("some-job") == [child.pid])  # arguments come after the process
        assert peak_bytes(child.pid) > 0
    assert pids_of("some-job") == []
    assert peak_bytes(child.pid) == 0
