"""Converged solutions against networks whose ODE ends where a formula says."""

from pathlib import Path

import pytest
import torch

from diffusion_core.noise import initial_noise
from search_jobs.errors import SearchRefused
from search_jobs.evaluate import EVALUATION_SEEDS_FROM, Meter, Reference, Subject
from search_jobs.evaluate.portions import Portions
from search_jobs.evaluate.reference import BLOCK, LADDER, TOLERANCE
from tests.search_jobs.evaluate.subjects import (
    GaussianNoise,
    exact_ddpm_ends,
    gaussian_subject,
)
from tests.search_jobs.search.toys import DDPM, SHAPE, GaussianVelocity, exact_ends


def reference(subject: Subject, cache: Path | None = None) -> Reference:
    return Reference(subject, Portions(16), cache, Meter())


def noises(first: int, count: int) -> torch.Tensor:
    seeds = range(EVALUATION_SEEDS_FROM + first, EVALUATION_SEEDS_FROM + first + count)
    return torch.stack([initial_noise(seed, SHAPE) for seed in seeds])


@pytest.mark.parametrize(
    ("changes", "exact"),
    [
        ({}, exact_ends),
        ({"network": GaussianNoise(), "kind": DDPM}, exact_ddpm_ends),
    ],
    ids=["rectified-flow", "ddpm"],
)
def test_a_converged_solution_ends_where_the_ode_does(changes, exact) -> None:
    solver = reference(gaussian_subject(**changes))
    converged = solver.converge()
    assert converged.steps in LADDER
    assert converged.self_error <= TOLERANCE
    # Any range of seeds, over the borders of blocks.
    found = solver.endpoints(converged, first_seed=BLOCK - 5, count=12)
    expected = exact(noises(BLOCK - 5, 12))
    assert float((found - expected).square().mean().sqrt()) <= 2 * TOLERANCE


def test_a_solution_found_once_is_not_computed_again(tmp_path: Path) -> None:
    subject = gaussian_subject()
    first = reference(subject, tmp_path)
    converged = first.converge()
    whole = first.endpoints(converged, 0, 80)
    asked_before = subject.problem.network.rows
    again = reference(subject, tmp_path)
    assert again.converge() == converged
    assert torch.equal(again.endpoints(converged, 0, 80), whole)
    assert torch.equal(again.endpoints(converged, 70, 10), whole[70:])
    assert subject.problem.network.rows == asked_before


def test_a_damaged_block_is_computed_again(tmp_path: Path) -> None:
    solver = reference(gaussian_subject(), tmp_path)
    converged = solver.converge()
    whole = solver.endpoints(converged, 0, 20)
    (block,) = tmp_path.rglob("*.safetensors")
    block.write_bytes(block.read_bytes()[:100])
    assert torch.equal(solver.endpoints(converged, 0, 20), whole)


def test_another_guidance_scale_is_another_solution(tmp_path: Path) -> None:
    for scale in (1.0, 2.0):
        reference(gaussian_subject(guidance_scale=scale, null_class=4), tmp_path).converge()
    assert len(list(tmp_path.glob("converged-*.json"))) == 2


class Winding(GaussianVelocity):
    """Turns so quickly that few steps do not follow."""

    def __call__(self, x, time, class_label, /):
        return 60 * torch.cos(150 * time)[:, None, None, None].expand_as(x)


def test_a_network_that_turns_quickly_is_given_more_steps() -> None:
    converged = reference(gaussian_subject(network=Winding())).converge()
    assert converged.steps > LADDER[0]


class Exploding(GaussianVelocity):
    def __call__(self, x, time, class_label, /):
        return torch.full_like(x, torch.nan)


def test_a_network_without_a_finite_end_is_refused() -> None:
    with pytest.raises(SearchRefused, match="gauss cannot be measured at guidance scale 1"):
        reference(gaussian_subject(network=Exploding())).converge()
