"""The same search in two processes: one batch, shared."""

import multiprocessing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed
from safetensors.torch import load_file, save_file
from torch import Tensor

from diffusion_core.quality import FeatureStatistics
from search_jobs.distributed import leave
from search_jobs.errors import SearchRefused
from search_jobs.search import Critic, Recipe, Step, search
from search_jobs.search.batches import Batches
from search_jobs.search.objectives import DistributionObjective, EndpointObjective
from search_jobs.search.shard import Shard
from search_jobs.search.superset import Superset
from search_jobs.search.teacher import BLOCK, Teacher
from solver_store.table import SolverTable
from tests.search_jobs.search.toys import gaussian_problem

STEPS = 3
RECIPE = Recipe(teacher_samples=2 * BLOCK)  # a block for each process
BUDGET = 10_000
STOPPED_AT = 5


def first_gradients() -> dict[str, Tensor]:
    """Of both objectives at once, as the first iteration has them; averaged over the processes."""
    problem = gaussian_problem()
    batches = Batches(16, 0, Shard.current())
    generator = torch.Generator().manual_seed(0)
    reference = FeatureStatistics.of(torch.randn(100, 3, generator=generator))
    critic = Critic(lambda images: images.mean(dim=(2, 3)), reference)
    endpoint = EndpointObjective(problem, batches, Teacher.of(problem, None).endpoints(32), 0)
    objective = DistributionObjective(endpoint, critic, memory=64, weight=1.0)
    space = Superset("rectified-flow", STEPS)
    objective.prepare(space.coefficients())
    torch.autograd.backward(objective.loss(space.coefficients(), problem.network, 0))
    batches.shard.mean_gradients(space.parameters())
    return {name: p.grad for name, p in space.named_parameters() if p.grad is not None}


def as_tensors(table: SolverTable) -> dict[str, Tensor]:
    return {
        "times": torch.tensor(table.times, dtype=torch.float64),
        "carry": torch.tensor(table.carry, dtype=torch.float64),
        "weights": torch.tensor(sum(table.weights, ()), dtype=torch.float64),
    }


def is_stopped(step: Step, rank: int) -> bool:
    assert rank == 0, "only the first process is asked"
    return step.iteration == STOPPED_AT


def work(rank: int, size: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size
    )
    save_file(first_gradients(), f"{folder}/gradients-{rank}")
    problem = gaussian_problem(identity="gaussian")
    find = partial(
        search, problem, STEPS, recipe=RECIPE, budget=BUDGET, cache=Path(folder, "cache")
    )
    save_file(as_tensors(find().table), f"{folder}/table-{rank}")
    checkpoint = Path(folder, "checkpoint")
    stopped = find(checkpoint=checkpoint, watch=lambda step: is_stopped(step, rank))
    assert stopped.iterations == STOPPED_AT
    save_file(as_tensors(find(checkpoint=checkpoint).table), f"{folder}/resumed-{rank}")
    leave()


def never_asked(x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
    raise AssertionError("all of it is known")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left behind."""
    folder = tmp_path_factory.mktemp("group")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, 2, str(folder))) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return folder


def test_first_gradients_are_those_of_one_process(results: Path) -> None:
    alone = first_gradients()
    for rank in range(2):
        together = load_file(results / f"gradients-{rank}")
        assert together.keys() == alone.keys()
        for name, gradient in alone.items():
            torch.testing.assert_close(together[name], gradient, rtol=1e-4, atol=1e-6)


def test_all_processes_end_in_the_table_that_one_finds(results: Path) -> None:
    alone = as_tensors(search(gaussian_problem(), STEPS, recipe=RECIPE, budget=BUDGET).table)
    first, second = (load_file(results / f"table-{rank}") for rank in range(2))
    for name, numbers in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], numbers, rtol=0, atol=1e-3)


def test_all_stop_where_the_first_says_and_go_on_from_one_checkpoint(results: Path) -> None:
    for rank in range(2):
        found, resumed = (load_file(results / f"{name}-{rank}") for name in ("table", "resumed"))
        for name, numbers in found.items():
            assert torch.equal(resumed[name], numbers)


def test_the_teacher_is_shared_and_kept(results: Path) -> None:
    problem = gaussian_problem(identity="gaussian")
    alone = Teacher.of(problem, None).endpoints(2 * BLOCK)
    known = replace(problem, network=never_asked)
    assert torch.equal(Teacher.of(known, results / "cache").endpoints(2 * BLOCK), alone)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="a batch of 3 cannot be shared by 2"):
        Shard(0, 2).share([1, 2, 3])
    monkeypatch.setattr(Shard, "current", lambda: Shard(0, 3))
    with pytest.raises(SearchRefused, match="evenly: take 1, 2, 4, 8, 16 processes, not 3"):
        search(gaussian_problem(), STEPS, recipe=RECIPE, budget=BUDGET)
