"""Free memory as the kernel and the container tell it."""

import pytest
import torch

from diffusion_core import memory
from diffusion_core.errors import ModelTooLarge
from diffusion_core.model import load_model
from tests.fakes import write_tiny_model

CPU = torch.device("cpu")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A /proc and a /sys of our own: 8 GiB free here, no container."""
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable:    8388608 kB\n")
    return tmp_path


def limit(system, maximum: str, used: int, cached: int) -> None:
    (system / "memory.max").write_text(f"{maximum}\n")
    (system / "memory.current").write_text(f"{used}\n")
    (system / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")


def test_without_a_container_the_kernel_decides(system) -> None:
    assert memory.available_memory(CPU) == 8 * 2**30


def test_a_container_may_have_less_and_cached_files_give_way(system) -> None:
    limit(system, str(2**30), used=2**29, cached=2**28)
    assert memory.available_memory(CPU) == 2**29 + 2**28


def test_a_container_without_a_limit_has_what_there_is(system) -> None:
    limit(system, "max", used=2**29, cached=0)
    assert memory.available_memory(CPU) == 8 * 2**30


def test_where_nobody_says_nothing_is_known(system) -> None:
    (system / "meminfo").unlink()
    assert memory.available_memory(CPU) is None


def test_a_model_that_does_not_fit_is_refused_with_both_sizes(system, tmp_path) -> None:
    folder = write_tiny_model(tmp_path / "models")
    limit(system, "1000", used=0, cached=0)
    with pytest.raises(ModelTooLarge, match=r"tiny needs [0-9.]+ kB on cpu, 1 kB are free"):
        load_model(folder, CPU)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
        ),
        torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation'"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
    ],
    ids=str,
)
def test_a_lack_of_memory_is_known_in_whoevers_words(error: Exception) -> None:
    assert memory.is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        ValueError("out of memory"),  # no allocator's
    ],
    ids=str,
)
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    assert not memory.is_out_of_memory(error)


def test_a_gpu_is_waited_for_and_a_cpu_is_not(monkeypatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    for name in ("cuda:1", "cpu"):
        memory.synchronise(torch.device(name))
    assert waited == [torch.device("cuda:1")]


def test_what_work_took_for_a_while_is_known_on_a_cpu() -> None:
    if not memory._forget_own_peak():
        pytest.skip("this system does not tell")
    held = []

    def work() -> None:
        held.append(torch.ones(2**22))  # 16 MiB, which stay
        torch.ones(2**24)  # 64 MiB

    assert memory.peak_memory(work, CPU) == pytest.approx(80 * 2**20, rel=0.1)
    assert memory.peak_memory(lambda: None, CPU) < 2**20, "what stays is no peak"


def test_what_the_system_does_not_tell_is_not_worked_for(system, monkeypatch) -> None:
    monkeypatch.setattr(memory, "PROCESS", system / "nowhere")
    assert memory.peak_memory(lambda: pytest.fail("in vain"), CPU) == 0
