"""How much memory a device has left, and what to do when there is none."""

import gc
from pathlib import Path

import torch

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")  # of the container, where there is one


def available_memory(device: torch.device) -> int | None:
    """Bytes that can still be taken; None where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    known = [free for free in (_free_here(), _free_in_container()) if free is not None]
    return min(known, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: CUDA says so by type, the CPU allocator by its text."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def forget_allocations() -> None:
    """Give back what nobody refers to any more, some of it in circles."""
    gc.collect()
    torch.cuda.empty_cache()


def in_words(num_bytes: int) -> str:
    """1_350_000_000 -> "1.35 GB"."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.3g} {unit}"
    return f"{num_bytes} bytes"


def _free_here() -> int | None:
    """What the kernel could give without swapping."""
    for line in _lines(MEMINFO):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _free_in_container() -> int | None:
    """What is left of the control group's limit; cached files do not count, they give way."""
    limit, used = _lines(CGROUP / "memory.max"), _lines(CGROUP / "memory.current")
    if not limit or not used or limit[0] == "max":
        return None
    stat = dict(line.split() for line in _lines(CGROUP / "memory.stat"))
    return int(limit[0]) - int(used[0]) + int(stat.get("inactive_file", 0))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
