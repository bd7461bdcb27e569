"""Evaluations on a device whose memory has no room for the whole batch."""

import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffusion_core.decoder import PixelDecoder
from search_jobs.errors import SearchRefused
from search_jobs.evaluate import EvaluationPlan, Meter, evaluate
from search_jobs.evaluate.portions import Portions
from tests.search_jobs.evaluate.subjects import gaussian_subject, pixel_judge
from tests.search_jobs.evaluate.test_evaluation import AB2, EULER
from tests.search_jobs.search.toys import GaussianVelocity

PLAN = EvaluationPlan(num_samples=60, num_endpoints=40, batch_rows=32)
OUT_OF_MEMORY = {
    "a GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "a CPU": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate "
                          "memory: you tried to allocate 2147483648 bytes."),
}  # fmt: skip


class Crowded:
    """Fails with more rows than it has room for; remembers what it had taken by then."""

    def __init__(self, room: int, error: Exception) -> None:
        self.room = room
        self.error = error
        self.failed_at: list[int] = []
        self._taken: list[weakref.ref[Tensor]] = []

    def enter(self, x: Tensor) -> None:
        assert not any(taken() is not None for taken in self._taken), "it was not let go"
        if len(x) > self.room:
            activations = x.clone()
            self._taken.append(weakref.ref(activations))
            self.failed_at.append(len(x))
            # A new one each time: who keeps an error keeps the frames that it came through.
            raise type(self.error)(*self.error.args)


class SmallNetwork(Crowded, GaussianVelocity):
    def __init__(self, room: int, error: Exception) -> None:
        Crowded.__init__(self, room, error)
        GaussianVelocity.__init__(self)

    def __call__(self, x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
        self.enter(x)
        return super().__call__(x, time, class_label)


class SmallDecoder(Crowded, PixelDecoder):
    def __call__(self, latents: Tensor) -> Tensor:
        self.enter(latents)
        return super().__call__(latents)


@pytest.mark.parametrize("device", OUT_OF_MEMORY)
def test_an_evaluation_that_runs_out_of_memory_takes_half_and_measures_the_same(device) -> None:
    judge = pixel_judge()
    wanted = evaluate(gaussian_subject(judge), [EULER, AB2], PLAN)
    network = SmallNetwork(room=9, error=OUT_OF_MEMORY[device])
    told = []
    meter = Meter(lambda *report: told.append(report))
    found = evaluate(gaussian_subject(judge, network=network), [EULER, AB2], PLAN, None, meter)
    assert network.failed_at == [20, 10], "found once: from 20 probes of 32 it goes to 10 and to 5"
    for mine, theirs in zip(found.measurements, wanted.measurements, strict=True):
        assert mine.num_broken == 0
        for metric, estimate in theirs.estimates.items():
            assert mine.estimates[metric].value == pytest.approx(estimate.value, rel=1e-5)
    assert told[-1][0] == told[-1][1], "what was done twice is counted once"


def test_a_decoder_that_runs_out_of_memory_is_given_less_too() -> None:
    decoder = SmallDecoder(room=7, error=OUT_OF_MEMORY["a GPU"])
    subject = replace(gaussian_subject(), decoder=decoder)
    patient = gaussian_subject()
    (found,) = evaluate(subject, [AB2], PLAN).measurements
    (wanted,) = evaluate(patient, [AB2], PLAN).measurements
    assert subject.problem.network.rows == patient.problem.network.rows, "nothing is sampled twice"
    for metric, estimate in wanted.estimates.items():
        assert found.estimates[metric].value == pytest.approx(estimate.value, rel=1e-5)


def test_guided_pairs_go_down_to_a_single_sample(tmp_path: Path) -> None:
    network = SmallNetwork(room=2, error=OUT_OF_MEMORY["a GPU"])
    subject = gaussian_subject(guidance_scale=2.0, null_class=4, network=network)
    (measured,) = evaluate(subject, [EULER], PLAN).measurements
    assert measured.num_broken == 0


def test_where_a_single_sample_does_not_fit_nothing_is_measured() -> None:
    network = SmallNetwork(room=1, error=OUT_OF_MEMORY["a GPU"])
    subject = gaussian_subject(guidance_scale=2.0, null_class=4, network=network)
    with pytest.raises(SearchRefused, match="memory runs out already at a single sample"):
        evaluate(subject, [EULER], PLAN)


def test_another_failure_is_not_tried_again() -> None:
    tried = []

    def fail(part: range) -> None:
        tried.append(part)
        raise RuntimeError("mat1 and mat2 cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        list(Portions(4).of(range(8), fail))
    assert tried == [range(4)]
