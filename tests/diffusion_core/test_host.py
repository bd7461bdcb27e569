"""Fast on a CPU: whose threads, and what becomes of freed memory."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from diffusion_core.host import threads_left_to_another

COUNT_PAGE_FAULTS = """
import resource, sys
import torch
from diffusion_core.host import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        # Two blocks: glibc would keep a single one of this size by itself.
        blocks = [torch.ones(12_000_000) for _ in range(2)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

# An aligned block does not always fit where one of its size was: the heap grows for up to nine
# pairs of blocks, by where the system put it. Counted is what comes after.
for _ in range(4):
    faults()
print(faults())
"""


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_one_thread_leaves_its_cores_to_another() -> None:
    def threads_of_another() -> int:
        torch.set_num_threads(given)
        return torch.get_num_threads()

    with threads_left_to_another() as given, ThreadPoolExecutor(1) as other:
        assert other.submit(threads_of_another).result() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def page_faults(how: str) -> int:
    command = [sys.executable, "-c", COUNT_PAGE_FAULTS, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_used_again_without_asking_the_system() -> None:
    pages = 2 * 12_000_000 * 4 // 4096
    assert page_faults("leave") > pages, "the system gives every block anew"
    assert page_faults("keep") < pages / 10
