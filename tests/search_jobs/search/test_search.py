"""The searches, on a linear field whose ODE is known in closed form."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffusion_core.classic import classical_table
from diffusion_core.coefficients import Coefficients
from diffusion_core.program import sample_table
from search_jobs.errors import SearchDiverged, SearchRefused
from search_jobs.search import Problem, Recipe, Step, recipe_of, search
from search_jobs.search.teacher import SOLVER
from search_jobs.spec import Method, Objective
from solver_store.table import SolverTable
from tests.search_jobs.search.toys import GaussianVelocity, critic, exact_ends, gaussian_problem

QUICK = Recipe(teacher_samples=32)


def rmse(problem: Problem, table: SolverTable) -> float:
    """From the exact ends, on noises that no search has seen."""
    noise, labels = problem.draw(range(2**41, 2**41 + 64))
    ends = sample_table(problem.network, table, problem.kind, noise, labels)
    return float((ends - exact_ends(noise)).square().mean().sqrt())


def test_the_paper_s_search_comes_as_near_as_its_teacher() -> None:
    """The field is linear: some table of 4 steps ends where Euler-100 does."""
    problem = gaussian_problem()
    teacher = rmse(problem, classical_table("euler", "rectified-flow", 100))
    found = search(problem, 4, method=Method.DSS, budget=32 * 112 * 300)
    assert rmse(problem, found.table) < 1.5 * teacher
    assert (
        rmse(problem, found.table) < rmse(problem, classical_table("ab2", "rectified-flow", 4)) / 4
    )


@pytest.mark.parametrize("steps", [2, 5])
def test_our_search_comes_near_the_exact_ends(steps: int) -> None:
    problem = gaussian_problem()
    found = search(problem, steps, recipe=QUICK, budget=1024 + 200 * 48 * steps)
    best = min(
        rmse(problem, classical_table(name, "rectified-flow", steps)) for name in ("ab2", "ab4")
    )
    assert rmse(problem, found.table) < best / 8


def test_same_seed_same_table_to_the_last_digit() -> None:
    tables = [
        search(gaussian_problem(), 3, recipe=QUICK, budget=6_000, seed=7).table for _ in range(2)
    ]
    assert tables[0].digest == tables[1].digest
    other = search(gaussian_problem(), 3, recipe=QUICK, budget=6_000, seed=8).table
    assert other.digest != tables[0].digest


@pytest.mark.parametrize(
    ("method", "objective"),
    [(Method.DSS, Objective.ENDPOINT), *((Method.DSS_PLUS, aim) for aim in Objective)],
)
def test_a_search_that_was_cut_off_ends_in_the_same_table(
    method: Method, objective: Objective, tmp_path: Path
) -> None:
    def once(checkpoint: Path | None, patience: int | None) -> SolverTable:
        calls = itertools.count(1)

        def watch(step: Step) -> bool:
            if next(calls) == patience:
                raise KeyboardInterrupt
            return False

        recipe = QUICK if method is Method.DSS_PLUS else None
        return search(
            gaussian_problem(),
            3,
            method=method,
            objective=objective,
            critic=None if objective is Objective.ENDPOINT else critic(),
            recipe=recipe,
            budget=32_000,
            checkpoint=checkpoint,
            watch=watch,
        ).table

    whole = once(None, None)
    for patience in (3, 1, 2):
        with pytest.raises(KeyboardInterrupt):
            once(tmp_path / "search.safetensors", patience)
    assert once(tmp_path / "search.safetensors", None).digest == whole.digest


def test_stopped_it_keeps_the_best_so_far(tmp_path: Path) -> None:
    problem = gaussian_problem()
    stopped = search(problem, 4, recipe=QUICK, budget=50_000, watch=lambda s: s.iteration == 20)
    assert stopped.iterations == 20
    assert rmse(problem, stopped.table) < rmse(
        problem, classical_table("euler", "rectified-flow", 4)
    )


def test_a_budget_is_what_the_network_was_asked(tmp_path: Path) -> None:
    """Forward 1, backward 2; a cached teacher is charged as if computed."""
    network = GaussianVelocity()
    problem = gaussian_problem(network=network, identity="gaussian")
    for asked_teacher in (32 * 32, 0):
        network.rows = 0
        found = search(problem, 5, recipe=QUICK, budget=20_000, cache=tmp_path)
        backward = 2 * 16 * 5 * found.iterations
        assert found.evaluations == network.rows + backward + (32 * 32 - asked_teacher)
        assert 20_000 - 3 * 16 * 5 < found.evaluations <= 20_000


@pytest.mark.parametrize("steps", [2, 12])
def test_a_small_budget_is_kept_too_or_refused(steps: int) -> None:
    problem = gaussian_problem()
    needed = 16 * 32 + 3 * 16 * steps  # a batch of the teacher's ends, and one iteration
    found = search(problem, steps, budget=needed)
    assert (found.iterations, found.evaluations) == (1, needed)
    with pytest.raises(SearchRefused, match=f"at least {needed} network evaluations"):
        search(problem, steps, budget=needed - 1)


def test_a_network_that_says_nothing_can_be_searched() -> None:
    def silent(x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
        return torch.zeros_like(x)

    found = search(gaussian_problem(network=silent), 4, budget=40_000)
    assert found.loss < 1e-6


def test_a_guided_pair_is_one_evaluation() -> None:
    network = GaussianVelocity()
    problem = gaussian_problem(network=network, guidance_scale=2.0, null_class=4)
    found = search(problem, 2, recipe=QUICK, budget=8_000)
    assert found.evaluations == network.rows / 2 + 2 * 16 * 2 * found.iterations


def test_activations_computed_again_change_nothing_but_the_cost() -> None:
    plain = search(gaussian_problem(), 3, recipe=QUICK, budget=6_100)
    again = Recipe(teacher_samples=32, rematerialise=True)
    budget = plain.evaluations + plain.iterations * 16 * 3
    thrifty = search(gaussian_problem(), 3, recipe=again, budget=budget)
    assert thrifty.iterations == plain.iterations
    assert thrifty.table.digest == plain.table.digest
    assert thrifty.evaluations == budget


def test_a_search_that_diverges_says_where(tmp_path: Path) -> None:
    class Breaking(GaussianVelocity):
        def __call__(self, x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
            out = super().__call__(x, time, class_label)
            return out * torch.nan if self.rows > 5_000 else out

    problem = gaussian_problem(network=Breaking())
    with pytest.raises(SearchDiverged, match="loss is nan at iteration"):
        search(problem, 3, recipe=QUICK, budget=50_000, checkpoint=tmp_path / "s.safetensors")
    assert (tmp_path / "s.safetensors").exists(), "the last good state is kept"


def test_a_checkpoint_of_another_search_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "search.safetensors"
    search(gaussian_problem(), 3, recipe=QUICK, budget=5_000, checkpoint=path)
    with pytest.raises(SearchRefused, match=r"search\.safetensors is of another search"):
        search(gaussian_problem(), 4, recipe=QUICK, budget=5_000, checkpoint=path)


def test_an_objective_over_features_needs_a_critic() -> None:
    with pytest.raises(SearchRefused, match="needs a critic"):
        search(gaussian_problem(), 3, objective=Objective.DISTRIBUTION)


def test_a_known_table_is_where_it_starts_if_it_is_better() -> None:
    problem = gaussian_problem()
    good = search(problem, 4, recipe=QUICK, budget=30_000).table
    again = search(problem, 4, recipe=QUICK, budget=3_000, known={"champion": good})
    assert again.start == "champion"
    assert Coefficients.from_table(again.table).nfe == 4


def test_the_paper_s_search_can_follow_a_better_teacher() -> None:
    """Euler-100 is off by more than UniPC-32: so is what follows it."""
    problem = gaussian_problem()
    better = replace(recipe_of(Method.DSS, Objective.ENDPOINT), teacher=SOLVER, teacher_steps=32)
    tables = [
        search(problem, 4, method=Method.DSS, recipe=recipe, budget=32 * 44 * 300).table
        for recipe in (None, better)
    ]
    assert rmse(problem, tables[1]) < rmse(problem, tables[0])
