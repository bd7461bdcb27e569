"""What a device has left and what work takes of it; what to do when there is none."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from .host import give_back_freed_memory

T = TypeVar("T")

MEMINFO = Path("/proc/meminfo")
PROCESS = Path("/proc/self")
CGROUP = Path("/sys/fs/cgroup")  # of the container, where there is one
# CUDA, Triton and the CPU's allocator; cuBLAS, cuDNN before 9.0 and since.
NO_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "ALLOCATION_FAILED")


def available_memory(device: torch.device) -> int | None:
    """Bytes that can still be taken; None where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    known = [free for free in (_free_here(), _free_in_container()) if free is not None]
    return min(known, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: torch's own for CUDA tell by type, all others by their text."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in NO_MEMORY)


def synchronise(device: torch.device) -> None:
    """Wait for all that the device was asked to do; raises what went wrong with it meanwhile."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def if_room(work: Callable[[], T]) -> T | None:
    """What the work returns; None where memory ran out, and what it had taken is free again.

    Raises what else goes wrong.
    """
    try:
        return work()
    except Exception as error:  # torch has no one kind for it; any other goes on
        if not is_out_of_memory(error):
            raise
    # Only here is the error gone, whose frames hold what was made.
    forget_allocations()
    return None


def forget_allocations() -> None:
    """Give back what nobody refers to any more, some of it in circles."""
    gc.collect()
    torch.cuda.empty_cache()


def peak_memory(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that work takes while it lasts, beside what is there before and after it.

    0 where nobody says: then the work is not done either. Nothing else may compute meanwhile.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        # Reserved, not allocated: between two tensors there are gaps that no other model can use.
        return torch.cuda.max_memory_reserved(device) - before
    give_back_freed_memory()
    if not _forget_own_peak():
        return 0
    before = _of_process("VmRSS")
    work()
    return max(0, _of_process("VmHWM") - before)


def in_words(num_bytes: int) -> str:
    """1_350_000_000 -> "1.35 GB"."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.3g} {unit}"
    return f"{num_bytes} bytes"


def _free_here() -> int | None:
    """What the kernel could give without swapping."""
    return _entry(MEMINFO, "MemAvailable")


def _of_process(name: str) -> int:
    """VmRSS: what it holds; VmHWM: the most that it held."""
    return _entry(PROCESS / "status", name) or 0


def _forget_own_peak() -> bool:
    """From here on VmHWM begins anew; returns whether the system can do that."""
    try:
        (PROCESS / "clear_refs").write_text("5")  # man 5 proc
    except OSError:
        return False
    return True


def _free_in_container() -> int | None:
    """What is left of the control group's limit; cached files do not count, they give way."""
    limit, used = _lines(CGROUP / "memory.max"), _lines(CGROUP / "memory.current")
    if not limit or not used or limit[0] == "max":
        return None
    stat = dict(line.split() for line in _lines(CGROUP / "memory.stat"))
    return int(limit[0]) - int(used[0]) + int(stat.get("inactive_file", 0))


def _entry(path: Path, name: str) -> int | None:
    """Bytes, of a line such as "MemAvailable:    8388608 kB"."""
    for line in _lines(path):
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
