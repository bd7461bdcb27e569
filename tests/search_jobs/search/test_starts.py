"""Where searches start: known tables, and the base solver at known times."""

import math

import pytest
import torch

from diffusion_core.schedule import get_schedule
from search_jobs.search.shard import ALONE
from search_jobs.search.starts import choose, resampled, starts, times_in
from solver_store.published import published_tables

PUBLISHED = {entry.name: entry.table for entry in published_tables()}


def names(schedule: str, steps: int, known=None) -> list[str]:
    return [start.name for start in starts(schedule, steps, known or {})]


def test_on_rectified_flow_published_tables_and_their_times_are_tried() -> None:
    assert names("rectified-flow", 10)[0] == "ab2"
    assert {"flowdcn-b-256-10", "sit-xl-256-10"} <= set(names("rectified-flow", 10))
    assert "ab2 at the times of flowdcn-b-256-9" in names("rectified-flow", 10)


def test_known_tables_are_tried_and_others_passed_over() -> None:
    known = {"mine": PUBLISHED["sit-xl-256-10"], "theirs": PUBLISHED["dit-xl-256-10"]}
    found = names("rectified-flow", 10, known)
    assert "mine" in found
    assert not any("theirs" in name for name in found)


def test_a_ddpm_model_starts_at_the_times_of_vp_tables_in_its_own_clock() -> None:
    found = {start.name: start.coefficients for start in starts("ddpm", 10, {})}
    at_published = found["dpmpp-2m at the times of dit-xl-256-10"]
    assert at_published.schedule == "ddpm"
    wanted = 1000 * torch.tensor(PUBLISHED["dit-xl-256-10"].times[1:-1], dtype=torch.float64)
    torch.testing.assert_close(at_published.times[1:-1], wanted)
    assert at_published.times[[0, -1]].tolist() == [999.0, -1.0]


@pytest.mark.parametrize("steps", [3, 7, 10, 16])
def test_resampled_times_keep_their_ends_and_their_order(steps: int) -> None:
    times = times_in("rectified-flow", PUBLISHED["flowdcn-b-256-8"])
    assert times is not None
    found = resampled(times, "rectified-flow", steps)
    assert len(found) == steps + 1
    assert found[0] == get_schedule("rectified-flow").t_noise
    assert found[-1] == 1.0
    assert (found.diff() > 0).all()


def test_times_of_another_schedule_are_none() -> None:
    assert times_in("rectified-flow", PUBLISHED["dit-xl-256-8"]) is None


def test_a_start_that_diverges_is_not_taken() -> None:
    candidates = starts("rectified-flow", 10, {})
    losses = iter([math.nan, math.inf, 2.0, 1.0, *[3.0] * len(candidates)])
    assert choose(candidates, lambda table: next(losses), ALONE) is candidates[3]
