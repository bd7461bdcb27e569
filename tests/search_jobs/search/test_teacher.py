"""The teacher's endpoints: right, computed once, and safe to interrupt."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from search_jobs.search.teacher import BLOCK, Teacher
from tests.search_jobs.search.toys import GaussianVelocity, exact_ends, gaussian_problem


def test_endpoints_are_those_of_the_ode() -> None:
    problem = gaussian_problem()
    noise, _ = problem.draw(range(40))
    given = Teacher.of(problem, None).endpoints(40)
    torch.testing.assert_close(given, exact_ends(noise), rtol=0, atol=2e-3)


def test_what_is_in_the_cache_is_not_computed_again(tmp_path: Path) -> None:
    network = GaussianVelocity()
    problem = gaussian_problem(network=network, identity="weights")
    first = Teacher.of(problem, tmp_path).endpoints(BLOCK + 5)
    asked = network.rows
    assert asked == 2 * BLOCK * 32
    assert torch.equal(Teacher.of(problem, tmp_path).endpoints(BLOCK), first[:BLOCK])
    assert torch.equal(Teacher.of(problem, tmp_path).endpoints(2 * BLOCK)[: BLOCK + 5], first)
    assert network.rows == asked


@pytest.mark.parametrize(
    "change",
    [{"identity": "others"}, {"guidance_scale": 1.6}, {"null_class": 3}, {"num_classes": 3}],
)
def test_another_network_or_guidance_or_other_classes_have_endpoints_of_their_own(
    change: dict[str, Any], tmp_path: Path
) -> None:
    network = GaussianVelocity()
    guided = {"guidance_scale": 1.5, "null_class": 4}
    problem = gaussian_problem(network=network, identity="weights", **guided)
    Teacher.of(problem, tmp_path).endpoints(1)
    asked = network.rows
    Teacher.of(replace(problem, **change), tmp_path).endpoints(1)
    assert network.rows > asked


def test_a_damaged_block_is_computed_again(tmp_path: Path) -> None:
    problem = gaussian_problem(identity="weights")
    first = Teacher.of(problem, tmp_path).endpoints(3)
    [block] = tmp_path.rglob("*.safetensors")
    block.write_bytes(block.read_bytes()[:100])
    assert torch.equal(Teacher.of(problem, tmp_path).endpoints(3), first)


def test_an_interrupted_teacher_goes_on_at_its_last_block(tmp_path: Path) -> None:
    class Tiring(GaussianVelocity):
        def __call__(self, x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
            if self.rows >= 3 * BLOCK * 32 // 2:
                raise KeyboardInterrupt
            return super().__call__(x, time, class_label)

    problem = gaussian_problem(network=Tiring(), identity="weights")
    with pytest.raises(KeyboardInterrupt):
        Teacher.of(problem, tmp_path).endpoints(3 * BLOCK)
    rested = gaussian_problem(identity="weights")
    whole = Teacher.of(rested, tmp_path).endpoints(3 * BLOCK)
    assert isinstance(rested.network, GaussianVelocity)
    assert rested.network.rows == 2 * BLOCK * 32
    assert torch.equal(whole, Teacher.of(rested, None).endpoints(3 * BLOCK))


def test_every_step_is_told_and_may_be_the_last(tmp_path: Path) -> None:
    count, told = BLOCK + 5, list[tuple[int, int]]()

    def tick(done: int, of: int) -> None:
        told.append((done, of))
        if done == 40 * BLOCK:
            raise KeyboardInterrupt

    problem = gaussian_problem(identity="weights")
    Teacher.of(problem, None).endpoints(count, lambda done, of: told.append((done, of)))
    done = [done for done, _ in told]
    assert done[:32] == [BLOCK * step for step in range(1, 33)]
    assert sorted(done) == done
    assert set(told[-1]) == {of for _, of in told} == {Teacher.of(problem, None).cost(count)}
    with pytest.raises(KeyboardInterrupt):
        Teacher.of(problem, tmp_path).endpoints(2 * BLOCK, tick)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1, "the block that was done"


def test_without_an_identity_nothing_is_kept(tmp_path: Path) -> None:
    Teacher.of(gaussian_problem(), tmp_path).endpoints(1)
    assert not list(tmp_path.iterdir())
