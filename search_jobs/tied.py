"""A process that ends with the one that started it (on Linux; elsewhere it lives on).

As a program, it becomes another one:

    python -I tied.py PARENT_PID SIGNAL COMMAND …

That is a process of its own because asking the kernel between fork and exec, in a process of many
threads, is not safe. The kernel counts the parent gone when the *thread* that started the child
ends, so children are to be started from a thread that lives as long as they may.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tie_to_parent(parent_pid: int, with_signal: int = signal.SIGKILL) -> None:
    """Ask the kernel for a signal when the parent ends; exits where it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit("the process that started this one is gone")


def main() -> None:
    parent_pid, with_signal, *command = sys.argv[1:]
    tie_to_parent(int(parent_pid), int(with_signal))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
