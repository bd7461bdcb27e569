"""Searches for features like those of real images."""

import pytest
import torch
from torch import Tensor

from diffusion_core.classic import classical_table
from diffusion_core.coefficients import Coefficients
from diffusion_core.program import sample_table
from diffusion_core.quality import FeatureStatistics, frechet_distance
from search_jobs.search import Recipe, search
from search_jobs.search.batches import Batches
from search_jobs.search.objectives import DistributionObjective, EndpointObjective
from search_jobs.search.shard import Shard
from search_jobs.spec import Objective
from tests.search_jobs.search.toys import (
    SHAPE,
    critic,
    exact_ends,
    features,
    gaussian_problem,
)

NUM_ENDS = 32
RECIPE = Recipe(teacher_samples=64, learning_rate=0.01, memory=64)


def distance(samples: Tensor) -> float:
    return frechet_distance(FeatureStatistics.of(features(samples)), critic().reference)


def objective(batch_size: int, memory: int, weight: float = 0.0) -> DistributionObjective:
    problem = gaussian_problem()
    noise, _ = problem.draw(range(NUM_ENDS))
    batches = Batches(batch_size, 0, Shard.current())
    endpoint = EndpointObjective(problem, batches, exact_ends(noise), 0)
    return DistributionObjective(endpoint, critic(), memory, weight=weight)


def objective_elsewhere() -> DistributionObjective:
    """On a device of shapes without numbers, which mixes with the CPU no more than a GPU does."""
    shapes = torch.device("meta")
    problem = gaussian_problem(network=lambda x, time, label: -x, device=shapes)
    ends = torch.empty(NUM_ENDS, *SHAPE, device=shapes)
    endpoint = EndpointObjective(problem, Batches(8, 0, Shard.current()), ends, 0)
    return DistributionObjective(endpoint, critic(), memory=32)


def euler(steps: int) -> Coefficients:
    return Coefficients.from_table(classical_table("euler", "rectified-flow", steps))


def samples_of(steps: int) -> Tensor:
    problem = gaussian_problem()
    noise, labels = problem.draw(range(NUM_ENDS))
    table = classical_table("euler", "rectified-flow", steps)
    return sample_table(problem.network, table, problem.kind, noise, labels)


def test_a_batch_of_all_noises_gives_the_moments_of_their_samples() -> None:
    whole = objective(batch_size=NUM_ENDS, memory=NUM_ENDS)
    whole.loss(euler(4), whole.problem.network, 0)
    rows = features(samples_of(4)).double()
    torch.testing.assert_close(whole.frechet.first, rows.mean(dim=0))
    torch.testing.assert_close(whole.frechet.second, rows.T @ rows / len(rows))


def test_a_small_batch_estimates_moments_best_from_differences() -> None:
    """The error of 4 of 32 samples, with and without what is known of the ODE's ends."""
    small = objective(batch_size=4, memory=4)
    rows = features(samples_of(4)).double()
    with_ends, without = [], []
    for iteration in range(8):
        small.loss(euler(4), small.problem.network, iteration)
        with_ends.append(small.frechet.first - rows.mean(dim=0))
        seeds = small.batches.among(NUM_ENDS, iteration)
        without.append(rows[seeds].mean(dim=0) - rows.mean(dim=0))
    assert torch.stack(with_ends).norm() < torch.stack(without).norm() / 2


def test_the_running_means_lie_where_the_samples_do() -> None:
    aim = objective_elsewhere()
    aim.prepare(euler(4))
    assert {buffer.device.type for buffer in aim.frechet.buffers()} == {"meta"}


def test_nothing_but_the_figure_itself_leaves_the_device() -> None:
    aim = objective_elsewhere()
    for figure in (
        lambda: aim.trial(euler(4)),
        lambda: aim.loss(euler(4), aim.problem.network, 0),
    ):
        with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta"):
            figure()


def test_the_weight_pulls_towards_the_ends() -> None:
    free, tied = objective(8, 32), objective(8, 32, weight=2.0)
    free_loss, tied_loss = (o.loss(euler(4), o.problem.network, 0) for o in (free, tied))
    seeds = free.batches.among(NUM_ENDS, 0)
    off = free.endpoint.distance(samples_of(4)[seeds], seeds)
    torch.testing.assert_close(tied_loss - free_loss, 2.0 * off.double())


def test_a_search_for_the_distribution_comes_nearer_to_real_images_than_the_ode() -> None:
    problem = gaussian_problem()
    found = search(
        problem,
        4,
        objective=Objective.DISTRIBUTION,
        critic=critic(),
        recipe=RECIPE,
        budget=60_000,
    )
    noise, labels = problem.draw(range(2**41, 2**41 + 2_000))
    samples = sample_table(problem.network, found.table, problem.kind, noise, labels)
    assert distance(samples) < distance(exact_ends(noise)) / 10


def test_a_mixture_lies_between() -> None:
    problem = gaussian_problem()
    noise, labels = problem.draw(range(2**41, 2**41 + 500))
    ends = exact_ends(noise)
    errors = []
    for aim in (Objective.ENDPOINT, Objective.MIXTURE, Objective.DISTRIBUTION):
        found = search(
            problem, 4, objective=aim, critic=critic(), recipe=RECIPE, budget=60_000
        ).table
        samples = sample_table(problem.network, found, problem.kind, noise, labels)
        errors.append(float((samples - ends).square().mean().sqrt()))
    assert errors[0] < errors[1] < errors[2]
