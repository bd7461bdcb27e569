"""Rank correlations against scipy's."""

import random

import pytest
from scipy.stats import spearmanr

from benchmarks.proxy.ranks import rank_correlation


def test_the_rank_correlation_is_spearmans() -> None:
    chance = random.Random(0)
    first = [chance.random() for _ in range(12)]
    second = [value + chance.random() for value in first]
    assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_the_same_order_is_one_and_the_opposite_minus_one() -> None:
    assert rank_correlation([1.0, 5.0, 2.0], [10.0, 400.0, 20.0]) == pytest.approx(1)
    assert rank_correlation([1.0, 5.0, 2.0], [3.0, 1.0, 2.0]) == pytest.approx(-1)
