"""The row count of a forward, chosen from times that are made up."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from diffusion_core.errors import ModelTooLarge
from diffusion_core.model import LoadedModel
from service.engine.warm_up import LAST_S, best_row_count, timed_step, working_memory
from tests.service.engine.fake_cuda import (
    CUDA,
    CachingAllocator,
    Costly,
    CostlyDecoder,
    LaterDevice,
)
from tests.service.engine.sabotage import Sabotaged

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


class Clock:
    """Tells the seconds of a forward by its rows; beyond the table memory has run out."""

    def __init__(
        self,
        seconds: Mapping[int, float],
        error: Exception | None = None,
        first_s: float = 0.0,  # what the model's first forward takes longer
    ):
        self._seconds, self._error = seconds, error or MemoryError()
        self._late_s = first_s
        self.asked: list[int] = []

    def __call__(self, model: LoadedModel, rows: int) -> float:
        self.asked.append(rows)
        if rows not in self._seconds:
            raise self._error
        late_s, self._late_s = self._late_s, 0.0
        return self._seconds[rows] + late_s


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        # Twice the rows in the same time, up to 8 rows.
        ({2: 0.01, 4: 0.01, 8: 0.01, 16: 0.02, 32: 0.04}, 8),
        # 16 rows are 2 % quicker than 2: not worth the wait.
        ({2: 0.102, 4: 0.204, 8: 0.408, 16: 0.8, 32: 1.7}, 2),
        # Nothing is gained by rows, the rate even falls.
        ({2: 0.11, 4: 0.3, 8: 0.8}, 2),
        # The same, but a step is short, and what was measured may be what others did meanwhile.
        ({2: 0.01, 4: 0.03, 8: 0.08, 16: 0.2, 32: 0.45}, 8),
        ({2: 0.01, 4: 0.03, 8: 0.12, 16: 0.3, 32: 0.45}, 4),
        # A small network on cores that others use: every forward is long, whatever its rows.
        ({2: 0.52, 4: 0.52, 8: 0.55, 16: 0.6, 32: 0.9}, 32),
    ],
)
def test_it_is_the_smallest_that_is_about_as_quick_as_the_best(
    tiny: LoadedModel, seconds: Mapping[int, float], best: int
) -> None:
    assert best_row_count(tiny, Clock(seconds)) == best


def test_after_a_long_forward_more_rows_are_tried_only_while_they_pay(tiny: LoadedModel) -> None:
    clock = Clock({2: 0.8, 4: 1.6})
    assert best_row_count(tiny, clock) == 2
    assert clock.asked == [2, 2, 2, 4, 4]


def test_a_very_long_forward_is_measured_once_and_the_last(tiny: LoadedModel) -> None:
    clock = Clock({2: 1.3 * LAST_S})
    assert best_row_count(tiny, clock) == 2
    assert clock.asked == [2, 2], "one that warms up, one that is measured"


def test_the_first_forward_of_a_model_says_nothing_however_long_it_is(tiny: LoadedModel) -> None:
    # On a GPU it loads cuDNN and cuBLAS and compiles Triton's kernels.
    seconds = {2: 0.01, 4: 0.01, 8: 0.01, 16: 0.02, 32: 0.04}
    assert best_row_count(tiny, Clock(seconds, first_s=60.0)) == 8


def test_what_another_model_left_to_do_is_not_counted(tiny: LoadedModel, monkeypatch) -> None:
    device = LaterDevice()
    for module in ("warm_up", "lanes"):
        monkeypatch.setattr(f"service.engine.{module}.synchronise", device.synchronise)
    monkeypatch.setattr("service.engine.warm_up.time.perf_counter", lambda: device.now)
    model = replace(tiny, network=Costly(tiny.network, lambda rows: device.ask(0.25 * rows)))
    device.ask(7.0)
    assert timed_step(model, rows=2) == 0.5


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_where_memory_runs_out_the_best_is_among_what_worked(tiny: LoadedModel, error) -> None:
    clock = Clock({2: 0.01, 4: 0.01, 8: 0.01}, error)
    assert best_row_count(tiny, clock) == 8
    assert max(clock.asked) == 16


def test_room_that_goes_after_the_first_forward_is_missing_all_the_same(tiny: LoadedModel) -> None:
    seconds = [0.01]

    def time_step(model: LoadedModel, rows: int) -> float:
        if seconds:
            return seconds.pop()
        raise MemoryError

    with pytest.raises(ModelTooLarge):
        best_row_count(tiny, time_step)


def test_a_model_without_room_for_a_guided_picture_is_too_large(tiny: LoadedModel) -> None:
    with pytest.raises(ModelTooLarge, match="tiny fits on cpu, but a forward of 2 rows does not"):
        best_row_count(tiny, Clock({}))


def test_an_error_that_is_not_about_memory_is_not_swallowed(tiny: LoadedModel) -> None:
    with pytest.raises(ValueError, match="surprise"):
        best_row_count(tiny, Clock({2: 0.01}, ValueError("surprise")))


def test_a_real_network_is_measured_up_to_where_its_memory_ends(tiny: LoadedModel) -> None:
    network = Sabotaged(tiny.network, error=MemoryError(), max_rows=4)
    assert best_row_count(replace(tiny, network=network)) in (2, 4)


@pytest.mark.parametrize(("rows", "taken"), [(8, 80), (2, 70)])
def test_a_model_works_in_what_its_forward_or_its_decoder_takes(
    tiny: LoadedModel, monkeypatch, rows: int, taken: int
) -> None:
    memory = CachingAllocator(monkeypatch, held=1000)
    memory.take_for_a_while(500)  # by another model, before this one is measured
    network = Costly(tiny.network, lambda rows: memory.take_for_a_while(10 * rows))
    decoder = CostlyDecoder(lambda pictures: memory.take_for_a_while(70 * pictures))
    model = replace(tiny, network=network, decoder=decoder, device=CUDA)
    assert working_memory(model, rows) == taken


def test_where_memory_ends_a_model_works_in_what_there_is(tiny: LoadedModel, monkeypatch) -> None:
    memory = CachingAllocator(monkeypatch, held=1000, free=50)
    network = Costly(tiny.network, lambda rows: memory.take_for_a_while(10 * rows))
    assert working_memory(replace(tiny, network=network, device=CUDA), rows=8) == 50


def test_on_a_cpu_what_a_model_works_in_is_measured_where_the_system_tells(
    tiny: LoadedModel,
) -> None:
    def take(rows: int) -> None:
        torch.ones(rows * 2**22)  # 16 MiB a row

    model = replace(tiny, network=Costly(tiny.network, take))
    assert working_memory(model, rows=4) in (0, pytest.approx(64 * 2**20, rel=0.2))
