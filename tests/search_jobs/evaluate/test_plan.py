"""Which noises, and in which groups."""

import pytest
import torch

from diffusion_core.quality import NUM_GROUPS
from search_jobs.evaluate import EVALUATION_SEEDS_FROM, EvaluationPlan
from search_jobs.evaluate.plan import groups_of
from search_jobs.search.batches import END_OF_SEEDS


def test_no_search_ever_draws_the_seeds_of_an_evaluation() -> None:
    assert END_OF_SEEDS <= EVALUATION_SEEDS_FROM
    for plan in (EvaluationPlan(), EvaluationPlan(first_seed=EVALUATION_SEEDS_FROM - 1)):
        assert min(plan.seeds) >= EVALUATION_SEEDS_FROM
        assert len(plan.seeds) == plan.num_samples
        assert max(plan.seeds) < 2**53  # a request can ask for each of them


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"num_samples": 39, "num_endpoints": 20}, "num_samples must be at least 40"),
        ({"num_endpoints": 19}, "num_endpoints must lie in"),
        ({"num_samples": 100, "num_endpoints": 101}, "num_samples = 100"),
        ({"batch_rows": 1}, "batch_rows"),
        ({"first_seed": -1}, "first_seed"),
        ({"first_seed": 2**40}, "first_seed"),
    ],
)
def test_a_plan_that_tells_nothing_is_refused(values: dict[str, int], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        EvaluationPlan(**values)


@pytest.mark.parametrize("num_samples", [40, 180, 720, 10_000])
def test_a_number_of_samples_makes_a_plan(num_samples: int) -> None:
    plan = EvaluationPlan.of_samples(num_samples)
    assert plan.num_samples == num_samples
    assert plan.num_endpoints == max(min(num_samples, 180), num_samples // 4)
    assert plan.screening().num_samples <= num_samples


def test_the_usual_number_of_samples_makes_the_usual_plan() -> None:
    assert EvaluationPlan.of_samples(EvaluationPlan.num_samples) == EvaluationPlan()


@pytest.mark.parametrize(("count", "num_classes"), [(720, 36), (180, 36), (41, 4), (2000, 1000)])
def test_groups_are_of_one_size(count: int, num_classes: int) -> None:
    sizes = torch.bincount(groups_of(count, num_classes), minlength=NUM_GROUPS)
    assert len(sizes) == NUM_GROUPS
    assert int(sizes.max()) - int(sizes.min()) <= 1


def test_every_class_is_spread_over_the_groups() -> None:
    groups = groups_of(720, 36)
    classes = torch.arange(720) % 36
    assert all(len(set(groups[classes == c].tolist())) == NUM_GROUPS for c in range(36))


def test_no_group_is_a_run_of_neighbouring_classes() -> None:
    """10,000 samples of 1,000 classes: ten of each, twenty groups of 500."""
    groups = groups_of(10_000, 1000)
    for g in range(NUM_GROUPS):
        hundreds = torch.bincount((torch.arange(10_000) % 1000)[groups == g] // 100)
        assert hundreds.tolist() == [50] * 10
