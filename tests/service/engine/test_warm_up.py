"""The row count of a forward, chosen from times that are made up."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from diffusion_core.errors import ModelTooLarge
from diffusion_core.model import LoadedModel
from service.engine.warm_up import best_row_count
from tests.service.engine.sabotage import Sabotaged

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


class Clock:
    """Tells the seconds of a forward by its rows; beyond the table memory has run out."""

    def __init__(self, seconds: Mapping[int, float], error: Exception | None = None):
        self._seconds, self._error = seconds, error or MemoryError()
        self.asked: list[int] = []

    def __call__(self, model: LoadedModel, rows: int) -> float:
        self.asked.append(rows)
        if rows not in self._seconds:
            raise self._error
        return self._seconds[rows]


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        # Twice the rows in the same time, up to 8 rows.
        ({2: 0.01, 4: 0.01, 8: 0.01, 16: 0.02, 32: 0.04}, 8),
        # 16 rows are 4 % quicker than 2: not worth the wait.
        ({2: 0.0104, 4: 0.0208, 8: 0.0416, 16: 0.08, 32: 0.17}, 2),
        # Nothing is gained by rows, the rate even falls.
        ({2: 0.01, 4: 0.03, 8: 0.08, 16: 0.2, 32: 0.45}, 2),
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
    assert clock.asked == [2, 2, 4, 4]


def test_a_very_long_forward_is_seen_once_and_the_last(tiny: LoadedModel) -> None:
    clock = Clock({2: 2.6})
    assert best_row_count(tiny, clock) == 2
    assert clock.asked == [2]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_where_memory_runs_out_the_best_is_among_what_worked(tiny: LoadedModel, error) -> None:
    clock = Clock({2: 0.01, 4: 0.01, 8: 0.01}, error)
    assert best_row_count(tiny, clock) == 8
    assert max(clock.asked) == 16


def test_a_model_without_room_for_a_guided_picture_is_too_large(tiny: LoadedModel) -> None:
    with pytest.raises(ModelTooLarge, match="tiny fits on cpu, but a forward of 2 rows does not"):
        best_row_count(tiny, Clock({}))


def test_an_error_that_is_not_about_memory_is_not_swallowed(tiny: LoadedModel) -> None:
    with pytest.raises(ValueError, match="surprise"):
        best_row_count(tiny, Clock({2: 0.01}, ValueError("surprise")))


def test_a_real_network_is_measured_up_to_where_its_memory_ends(tiny: LoadedModel) -> None:
    network = Sabotaged(tiny.network, error=MemoryError(), max_rows=4)
    assert best_row_count(replace(tiny, network=network)) in (2, 4)
