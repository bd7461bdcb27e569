"""The rate of plain multiplications, on a device whose times are known."""

from dataclasses import dataclass, replace

import pytest
import torch

from benchmarks.models import matrix_rate as rates
from benchmarks.models import timing
from diffusion_core.card import DiTArchitecture
from diffusion_core.families import Family, get_family

CPU = torch.device("cpu")
TOKENS = 16  # of a network row


@pytest.fixture
def family() -> Family:
    sizes = DiTArchitecture(
        network="dit", input_size=8, patch_size=2, in_channels=4, hidden_size=16, depth=1,
        num_heads=2, num_classes=1000,
    )  # fmt: skip
    return replace(get_family("dit-xl-2-256"), architecture=sizes)


@dataclass
class Device:
    """Takes its time for every piece of work, and much more to be waited for."""

    work_s: float
    wait_s: float
    now_s: float = 0.0

    def work(self) -> None:
        self.now_s += self.work_s

    def wait(self, device: torch.device) -> None:
        self.now_s += self.wait_s


def test_waiting_for_the_device_is_no_part_of_what_a_multiplication_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Device(work_s=2e-6, wait_s=5e-4)
    monkeypatch.setattr(timing, "synchronise", device.wait)
    monkeypatch.setattr(timing, "perf_counter", lambda: device.now_s)
    assert rates.seconds_each(device.work, CPU) == pytest.approx(2e-6, rel=0.02)


def test_the_best_of_all_numbers_of_rows_counts(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def seconds_each(work, device):
        (x,) = work.args
        tried.append(len(x) // TOKENS)
        return 1e-3 if tried[-1] == 24 else 1.0

    monkeypatch.setattr(rates, "seconds_each", seconds_each)
    found = rates.matrix_rate(family, 24, CPU, torch.float32)
    assert set(tried) == {1, 2, 4, 8, 16, 24}
    assert found == pytest.approx(2 * 24 * TOKENS * 16 * 64 / 1e-3 / 1e12)


def test_matrices_are_multiplied_here_too(family: Family) -> None:
    assert rates.matrix_rate(family, 1, CPU, torch.bfloat16) > 0
