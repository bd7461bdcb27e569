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
