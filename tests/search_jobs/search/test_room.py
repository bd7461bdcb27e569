"""Searches of networks that are large beside the memory there is."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffusion_core import memory
from diffusion_core.model import load_model
from diffusion_core.networks.packed import can_pack
from search_jobs.errors import SearchRefused
from search_jobs.search import Problem, Recipe, Step, problem, search
from search_jobs.search.room import KEPT_BYTES, needed_bytes, thrifty
from tests.fakes import write_tiny_model
from tests.search_jobs.search.toys import GaussianVelocity, gaussian_problem

QUICK = Recipe(teacher_samples=32)
BUDGET = 6_100
STATE = 4 * 3 * 4 * 4  # bytes of a sample


class Watching(GaussianVelocity):
    """Remembers the largest number of rows whose activations it has left for a backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    def __call__(self, x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
        if torch.is_grad_enabled():
            self.most = max(self.most, len(x))
        return super().__call__(x, time, class_label)


def test_activations_that_would_be_too_many_are_computed_again() -> None:
    """A batch of 16 in pairs, three steps."""
    rows = 16 * 2 * 3
    pairs = gaussian_problem(guidance_scale=2.0, null_class=4)
    fitting, too_large = (replace(pairs, row_bytes=KEPT_BYTES // rows + more) for more in (0, 1))
    assert thrifty(QUICK, fitting, 3) == QUICK
    assert thrifty(QUICK, too_large, 3) == replace(QUICK, rematerialise=True)


def test_a_large_network_is_searched_in_parts_and_ends_in_nearly_the_same_table() -> None:
    plain = search(gaussian_problem(), 3, recipe=QUICK, budget=BUDGET)
    budget = plain.evaluations + plain.iterations * 16 * 3  # a forward computed again is one more
    network = Watching()
    large = gaussian_problem(network=network, row_bytes=problem.PART_BYTES // 5)
    found = search(large, 3, recipe=QUICK, budget=budget)
    assert (found.iterations, found.evaluations) == (plain.iterations, budget)
    assert network.most == 5
    for mine, theirs in zip(found.table.weights, plain.table.weights, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


def test_a_large_search_that_was_cut_off_ends_in_the_same_table(tmp_path: Path) -> None:
    def once(checkpoint: Path | None, patience: int | None) -> str:
        calls = itertools.count(1)

        def watch(step: Step) -> bool:
            if next(calls) == patience:
                raise KeyboardInterrupt
            return False

        large = gaussian_problem(row_bytes=problem.PART_BYTES // 5)
        found = search(large, 3, recipe=QUICK, budget=BUDGET, checkpoint=checkpoint, watch=watch)
        return found.table.digest

    with pytest.raises(KeyboardInterrupt):
        once(tmp_path / "search.safetensors", 5)
    assert once(tmp_path / "search.safetensors", None) == once(None, None)


def test_an_iteration_needs_a_part_of_the_activations_and_the_states_of_all_steps() -> None:
    states = 4 * 16 * 3 * STATE
    small = gaussian_problem(row_bytes=1000)
    assert needed_bytes(QUICK, small, 3) == 16 * 3 * 1000 + states
    assert needed_bytes(replace(QUICK, rematerialise=True), small, 3) == 16 * 1000 + states
    large = gaussian_problem(row_bytes=problem.PART_BYTES // 5)
    again = thrifty(QUICK, large, 3)
    assert needed_bytes(again, large, 3) == 5 * large.row_bytes + states


@pytest.mark.skipif(
    not can_pack(torch.device("cpu"), torch.float32), reason="nothing is packed on this processor"
)
def test_packed_layers_need_their_weights_once_more_until_they_have_them(tmp_path: Path) -> None:
    model = load_model(write_tiny_model(tmp_path), torch.device("cpu"))
    tiny = Problem.of_model(model, 1.0)
    plain = replace(tiny, network=lambda x, time, label: x)
    weights = sum(
        t.numel() * t.element_size()
        for name, t in model.network.state_dict().items()
        if name.endswith(".weight") and t.is_mkldnn
    )
    assert needed_bytes(QUICK, tiny, 3) == needed_bytes(QUICK, plain, 3) + weights
    search(tiny, 3, recipe=QUICK, budget=2_000)
    assert needed_bytes(QUICK, tiny, 3) < needed_bytes(QUICK, plain, 3) + weights


@pytest.fixture
def two_megabytes_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemAvailable: 2000 kB\n")


@pytest.mark.usefixtures("two_megabytes_free")
def test_a_search_that_cannot_fit_is_refused_before_it_asks_the_network() -> None:
    network = GaussianVelocity()
    large = gaussian_problem(network=network, row_bytes=200_000)
    refusal = r"a search of 3 steps needs at least 9\.64 MB .*, 2\.05 MB are free on cpu"
    with pytest.raises(SearchRefused, match=refusal):
        search(large, 3, recipe=QUICK, budget=BUDGET)
    assert network.rows == 0
    search(gaussian_problem(network=network, row_bytes=20_000), 3, recipe=QUICK, budget=BUDGET)


def test_a_search_that_has_begun_goes_on_however_little_is_free(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    large, path = gaussian_problem(row_bytes=200_000), tmp_path / "search.safetensors"
    search(large, 3, recipe=QUICK, budget=BUDGET, checkpoint=path, watch=lambda step: True)
    request.getfixturevalue("two_megabytes_free")
    assert search(large, 3, recipe=QUICK, budget=BUDGET, checkpoint=path).iterations > 1
