import numpy as np

from benchmarks.reproduce.recipe import Labels


def test_balanced_labels_ask_for_every_class_equally_often() -> None:
    labels = [Labels.BALANCED.of(number, 7 + number, 10) for number in range(50)]
    assert np.bincount(labels).tolist() == [5] * 10


def test_uniform_labels_follow_from_the_seed_alone() -> None:
    labels = [Labels.UNIFORM.of(number, 100 + number, 10) for number in range(5000)]
    assert labels[1000:] == [Labels.UNIFORM.of(0, 1100 + i, 10) for i in range(4000)]
    counts = np.bincount(labels, minlength=10)
    chi_square = float(((counts - 500) ** 2 / 500).sum())
    assert chi_square < 21.67  # 99 % of a fair draw with 9 degrees of freedom
    assert len(set(counts)) > 1, "drawn, not dealt out"
