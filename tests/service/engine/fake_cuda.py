"""A GPU that is not there: its time and its memory are numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffusion_core.decoder import PixelDecoder

CUDA = torch.device("cuda")


class LaterDevice:
    """Work that is asked for is only done when somebody waits for it."""

    def __init__(self) -> None:
        self.now = 0.0  # s
        self.pending = 0.0  # s

    def synchronise(self, device: torch.device) -> None:
        self.now, self.pending = self.now + self.pending, 0.0

    def ask(self, seconds: float) -> None:
        self.pending += seconds


class CachingAllocator:
    """Memory as torch manages it: what was taken once stays reserved until the cache is emptied."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, held: int, free: int = 10**9):
        self._held = self._reserved = self._peak = held
        self._most = held + free
        zeros = torch.zeros
        for name, answer in {
            "torch.zeros": lambda *shape, device, **rest: zeros(*shape, **rest),
            "torch.cuda.synchronize": lambda device: None,
            "torch.cuda.empty_cache": self._empty_cache,
            "torch.cuda.memory_reserved": lambda device: self._reserved,
            "torch.cuda.reset_peak_memory_stats": self._reset_peak,
            "torch.cuda.max_memory_reserved": lambda device: self._peak,
        }.items():
            monkeypatch.setattr(name, answer)

    def take_for_a_while(self, num_bytes: int) -> None:
        self._reserved = max(self._reserved, min(self._held + num_bytes, self._most))
        self._peak = max(self._peak, self._reserved)
        if self._held + num_bytes > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    def _empty_cache(self) -> None:
        self._reserved = self._held

    def _reset_peak(self, device: torch.device) -> None:
        self._peak = self._reserved


class Costly(torch.nn.Module):
    """A network whose forwards cost something, by their rows."""

    def __init__(self, network: torch.nn.Module, pay: Callable[[int], None]):
        super().__init__()
        self.network, self.pay = network, pay

    def forward(self, x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
        self.pay(len(x))
        out: Tensor = self.network(x, time, class_label)
        return out


class CostlyDecoder(PixelDecoder):
    def __init__(self, pay: Callable[[int], None]):
        self.pay = pay

    def __call__(self, latents: Tensor) -> Tensor:
        self.pay(len(latents))
        return super().__call__(latents)
