"""The spaces: what lies in them, and where they begin."""

import pytest
import torch

from diffusion_core.classic import classical_table
from diffusion_core.coefficients import Coefficients
from diffusion_core.schedule import get_schedule
from search_jobs.errors import SearchRefused
from search_jobs.search.paper_space import PaperSpace, free_weights
from search_jobs.search.space import log_gaps_of, times_between
from search_jobs.search.superset import Superset
from solver_store.published import published_tables
from solver_store.table import SolverTable

PUBLISHED = {entry.name: entry.table for entry in published_tables()}


def difference(a: Coefficients, b: Coefficients) -> float:
    names = ("node_times", "times", "carry", "weights")
    return max(float((getattr(a, n) - getattr(b, n)).detach().abs().max()) for n in names)


@pytest.mark.parametrize("steps", [1, 3, 6, 10])
@pytest.mark.parametrize(
    ("schedule", "base"), [("rectified-flow", "ab2"), ("vp", "dpmpp-2m"), ("ddpm", "dpmpp-2m")]
)
def test_our_space_begins_at_the_base_solver(schedule: str, base: str, steps: int) -> None:
    expected = Coefficients.from_table(classical_table(base, schedule, steps))
    assert difference(Superset(schedule, steps).coefficients(), expected) < 1e-9


@pytest.mark.parametrize("name", ["flowdcn-b-256-10", "sit-xl-256-6", "sit-xl-256-5"])
def test_every_published_table_of_rectified_flow_lies_in_our_space(name: str) -> None:
    table = Coefficients.from_table(PUBLISHED[name])
    assert difference(Superset.starting_at(table, "rectified-flow").coefficients(), table) < 1e-9


def test_any_multistep_table_lies_in_our_space() -> None:
    generator = torch.Generator().manual_seed(0)
    table = Coefficients.from_table(PUBLISHED["flowdcn-b-256-8"])
    free = Coefficients(
        schedule=table.schedule,
        prediction=table.prediction,
        node_times=(table.node_times + 0.01).clamp(0, 1),
        times=table.times,
        carry=table.carry * (1 + 0.1 * torch.rand(8, generator=generator, dtype=torch.float64)),
        weights=table.weights
        + 0.1 * torch.rand(8, 8, generator=generator, dtype=torch.float64).tril(),
    )
    assert difference(Superset.starting_at(free, "rectified-flow").coefficients(), free) < 1e-9


def test_parts_that_are_not_free_stay() -> None:
    table = Coefficients.from_table(PUBLISHED["flowdcn-b-256-8"])
    space = Superset.starting_at(table, "rectified-flow", free=frozenset())
    with torch.no_grad():
        for parameter in space.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    moved = space.coefficients()
    assert torch.equal(moved.carry, torch.ones(8, dtype=torch.float64))
    assert torch.equal(moved.node_times, moved.times[:-1])
    steps = moved.times[1:] - moved.times[:-1]
    torch.testing.assert_close(moved.weights.sum(dim=1), steps)


def test_a_start_over_other_predictions_is_refused() -> None:
    table = Coefficients.from_table(classical_table("dpmpp-2m", "rectified-flow", 5))
    with pytest.raises(SearchRefused, match="velocity predictions, got one over data"):
        Superset.starting_at(table, "rectified-flow")


@pytest.mark.parametrize("schedule", ["rectified-flow", "vp", "ddpm"])
def test_tables_of_a_moved_space_are_valid(schedule: str) -> None:
    space = Superset(schedule, 7)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in space.parameters():
            parameter.add_(2 * torch.randn(parameter.shape, generator=generator))
    assert isinstance(space.coefficients().to_table(), SolverTable)


@pytest.mark.parametrize("solver", ["dpmpp-2m", "dpmpp-3m", "unipc-2", "ddim"])
@pytest.mark.parametrize("schedule", ["vp", "ddpm"])
def test_tables_that_end_in_the_clean_image_are_points_of_the_space(
    schedule: str, solver: str
) -> None:
    """Their last step carries nothing over: sigma is 0 there."""
    table = Coefficients.from_table(classical_table(solver, schedule, 5))
    assert difference(Superset.starting_at(table, schedule).coefficients(), table) < 1e-9


@pytest.mark.parametrize("schedule", ["rectified-flow", "vp", "ddpm"])
def test_gradients_reach_every_free_number(schedule: str) -> None:
    space = Superset(schedule, 4)
    numbers = space.coefficients()
    total = (
        numbers.node_times.sum()
        + (numbers.carry * torch.arange(1.0, 5.0)).sum()
        + (numbers.weights * torch.arange(16.0).view(4, 4)).sum()
    )
    torch.autograd.backward(total)
    assert space.log_gaps.grad is not None
    assert int((space.log_gaps.grad != 0).sum()) == 4
    assert space.mixing.grad is not None
    assert int((space.mixing.grad != 0).sum()) == 6
    for shifts in (space.row_shifts, space.node_shifts):
        assert shifts.grad is not None
    for parameter in space.parameters():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())


@pytest.mark.parametrize("schedule", ["rectified-flow", "vp"])
def test_the_paper_s_space_begins_at_euler(schedule: str) -> None:
    space = PaperSpace(schedule, 8)
    first = space.coefficients()
    classical = "euler" if schedule == "rectified-flow" else "ddim"
    if schedule == "rectified-flow":
        expected = Coefficients.from_table(classical_table(classical, schedule, 8))
        assert difference(first, expected) < 1e-12
    assert torch.equal(first.weights, first.weights.diagonal().diag())


def test_up_to_six_steps_the_last_two_rows_are_short() -> None:
    assert free_weights(6).int().tolist() == [
        [0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1, 0],
    ]
    assert int(free_weights(7).sum()) == 21


def test_times_and_gaps_are_inverse() -> None:
    schedule = get_schedule("vp")
    times = torch.tensor([0.999, 0.7, 0.5, 0.1, 0.0], dtype=torch.float64)
    torch.testing.assert_close(times_between(schedule, log_gaps_of(schedule, times)), times)
