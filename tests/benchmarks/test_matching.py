"""How many evaluations a solver needs, where its error is known in closed form."""

import pytest

from benchmarks.search.matching import LIMIT, fewest


@pytest.mark.parametrize("needed", [6, 7, 8, 9, 13, 20, 21, 22, 40, 63, 64])
def test_the_fewest_evaluations_that_are_enough_are_found(needed: int) -> None:
    assert fewest(lambda count: 1 / count, 1 / needed, 6) == needed


def test_few_counts_are_tried() -> None:
    tried: list[int] = []

    def error_at(count: int) -> float:
        tried.append(count)
        return 1 / count

    fewest(error_at, 1 / 22, 6)
    assert len(tried) == len(set(tried)) <= 10


def test_what_cannot_be_reached_has_no_number() -> None:
    assert fewest(lambda count: 1 / count, 1 / (LIMIT + 1), 6) is None
