"""Networks of random weights, ours beside diffusers' pipeline, small enough for a test."""

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.models import throughput, timing
from benchmarks.models.random_weights import random_autoencoder, random_network
from benchmarks.models.throughput import Plan, our_sampler, their_pipeline
from diffusion_core.card import DiTArchitecture
from diffusion_core.families import Family, get_family

# diffusers 0.42 hands tensors to numpy in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CPU = torch.device("cpu")
SMALL_AUTOENCODER = (32, 32, 32, 32)


@pytest.fixture
def family() -> Family:
    """DiT-XL/2 with narrow layers."""
    full = get_family("dit-xl-2-256")
    assert isinstance(full.architecture, DiTArchitecture)
    sizes = full.architecture.model_copy(
        update={"input_size": 8, "hidden_size": 32, "depth": 1, "num_heads": 2}
    )
    return replace(full, architecture=sizes)


def test_a_network_without_a_checkpoint_answers_something(family: Family) -> None:
    network = random_network(family, CPU, torch.bfloat16)
    assert {p.dtype for p in network.parameters()} == {torch.bfloat16}
    out = network(torch.randn(2, 4, 8, 8), torch.full((2,), 500.0), torch.tensor([1, 1000]))
    assert out.isfinite().all()
    assert out.float().std() > 0


@torch.no_grad()
def test_both_draw_as_many_pictures_of_one_size(family: Family) -> None:
    vae: Any = random_autoencoder(SMALL_AUTOENCODER, CPU, torch.float32)
    ours = our_sampler(family, vae, CPU, torch.float32)(3, 2)
    theirs = their_pipeline(family, vae, CPU, torch.float32)(3, 2).images
    assert isinstance(ours, torch.Tensor)
    assert ours.shape == theirs.shape == (3, 64, 64, 3)
    assert ours.dtype == torch.uint8
    assert np.isfinite(theirs).all()


def test_the_best_time_counts_after_one_that_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 9.0, 0.0, 9.0, 0.0, 2.0, 0.0, 8.0, 0.0, 1.0, 0.0, 3.0])
    monkeypatch.setattr(timing, "perf_counter", lambda: next(clock))
    told: list[tuple[int, int]] = []
    contenders: dict[str, throughput.Draw] = {
        "ours": lambda batch, steps: told.append((batch, steps)),
        "diffusers": lambda batch, steps: told.append((batch, steps)),
    }
    best = throughput.fastest(contenders, 4, 10, 2, CPU)
    assert told == [(4, 10)] * 6
    assert best == {"ours": 1.0, "diffusers": 3.0}


@pytest.fixture
def small_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "SD_CHANNELS", SMALL_AUTOENCODER)
    monkeypatch.setattr(throughput, "matrix_rate", lambda *of: 1.0)


@pytest.mark.usefixtures("small_figures")
def test_the_figures_name_every_cell(family: Family) -> None:
    *_, result = throughput.throughput(family, Plan((1, 2), (2,), 1), CPU, torch.float32)
    for batch in (1, 2):
        ours, theirs, ratio = (
            result.figures[f"batch {batch}, 2 steps: {name}"]
            for name in ("ours, images/s", "diffusers, images/s", "ours over diffusers")
        )
        assert ratio == pytest.approx(ours / theirs)


@pytest.mark.usefixtures("small_figures")
def test_what_is_measured_is_told_after_every_cell(family: Family) -> None:
    results = list(throughput.throughput(family, Plan((1, 2), (2,), 1), CPU, torch.float32))
    cells = [{name.partition(":")[0] for name in result.figures} for result in results]
    assert [len(found) for found in cells] == [2, 3], "the matrices' rate, and a cell more each"
    assert len({result.name for result in results}) == 1


@pytest.mark.usefixtures("small_figures")
def test_who_runs_out_of_memory_loses_a_cell_and_the_others_go_on(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "our_sampler", lambda *of: drawing_at_most(8))
    monkeypatch.setattr(throughput, "their_pipeline", lambda *of: drawing_at_most(1))
    *_, result = throughput.throughput(family, Plan((1, 2), (2, 3), 1), CPU, torch.float32)
    rates = [name for name in result.figures if name.endswith("images/s")]
    assert sum("ours" in name for name in rates) == 4
    assert [name for name in rates if "diffusers" in name] == [
        "batch 1, 2 steps: diffusers, images/s",
        "batch 1, 3 steps: diffusers, images/s",
    ]
    assert "batch 2, 3 steps: ours over the floor" in result.figures
    assert "batch 2, 3 steps: ours over diffusers" not in result.figures
    assert result.notes == (
        "batch 2, 2 steps: diffusers ran out of memory",
        "batch 2, 3 steps: diffusers ran out of memory",
    )


def drawing_at_most(most: int) -> throughput.Draw:
    """A sampler with memory for so many images."""

    def draw(batch: int, steps: int) -> None:
        if batch > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return draw


def test_what_ran_out_of_memory_is_gone_before_the_next_begins() -> None:
    taken: list[weakref.ref[torch.Tensor]] = []

    def greedy() -> None:
        activations = torch.zeros(1)
        taken.append(weakref.ref(activations))
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    assert timing.timed_in_memory(greedy, CPU) is None
    [activations] = taken
    assert activations() is None


def test_other_errors_than_a_lack_of_memory_end_it() -> None:
    def broken() -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        timing.timed_in_memory(broken, CPU)
