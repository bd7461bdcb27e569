"""What torch needs of this process to compute fast on a CPU: its threads and its memory."""

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

KEPT_BYTES = 2**30
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@contextmanager
def threads_left_to_another() -> Iterator[int]:
    """Keep torch on one core in this thread; yields how many cores another thread may take.

    OpenMP's idle workers spin between two operations only while all teams of the process together
    have no more threads than there are cores. One team in this thread and one in another are too
    many: then every operation starts with a wake-up (a forward of one row of the bundled model
    took 8.7 ms instead of 4.8 on two cores).
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield num_threads
    finally:
        torch.set_num_threads(num_threads)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of giving it back to the system.

    Every forward frees its activations and asks for the same again; page by page, that took a
    fifth of the time at 16 rows of the bundled model. Other allocators stay as they are.
    """
    set_option = _of_glibc("mallopt")
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, KEPT_BYTES)
        set_option(_M_TRIM_THRESHOLD, KEPT_BYTES)


def give_back_freed_memory() -> None:
    """Once, after something large has gone: what `keep_freed_memory` would keep."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function of the C library; None where it is another one."""
    if not sys.platform.startswith("linux"):
        return None
    function: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return function
