"""Serving on the same cores comes first."""

import os
import sys
from contextlib import suppress
from pathlib import Path

NICENESS = 15


def yield_to_others() -> None:
    """Lower the priority of this process.

    Where the kernel groups processes by session (sched_autogroup), the priority counts within the
    session only; a process that leads its own lowers that, too.
    """
    os.nice(max(0, NICENESS - os.nice(0)))
    if sys.platform == "linux" and os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICENESS))
