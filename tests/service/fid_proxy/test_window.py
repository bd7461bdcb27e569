"""What pictures weigh: newer ones more, rare classes as much as common ones."""

import pytest
import torch

from service.fid_proxy.window import Window, effective_count


def filled(labels: list[int], num_features: int = 4, num_classes: int = 4) -> Window:
    """Picture i has i in all its features."""
    window = Window(num_features, num_classes)
    for i, label in enumerate(labels):
        window.add(torch.full((num_features,), float(i)), label, seed=i)
    return window


def test_only_the_newest_pictures_are_kept() -> None:
    window = filled([0] * 100)  # a window of four features holds 32
    assert window.count == 32
    assert sorted(window.features()[:, 0].tolist()) == list(range(68, 100))


def test_a_picture_is_known_by_class_and_seed_while_the_window_holds_it() -> None:
    window = filled([0] * 33)
    assert window.has(0, 32)
    assert window.has(0, 1)
    assert not window.has(1, 32)
    assert not window.has(0, 0)


def test_an_older_picture_weighs_half_after_the_half_life() -> None:
    window = filled([0] * 40)
    weight_of = dict(zip(window.features()[:, 0].tolist(), window.weights().tolist(), strict=True))
    assert weight_of[39] / weight_of[23] == pytest.approx(2)
    assert max(weight_of, key=weight_of.__getitem__) == 39


def test_few_pictures_are_not_enough() -> None:
    assert not filled([0, 1, 2, 3] * 1).is_enough
    assert filled([0, 1, 2, 3] * 4).is_enough


def test_many_pictures_of_few_classes_are_not_enough() -> None:
    assert not filled([0, 1] * 16).is_enough


def test_one_picture_that_stands_for_half_of_the_classes_is_not_enough() -> None:
    assert not filled([0] * 31 + [1], num_classes=2).is_enough


def test_of_a_thousand_classes_not_all_can_be_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(1000, (32,), generator=generator).tolist()
    assert filled(labels, num_classes=1000).is_enough


def test_the_effective_count_is_that_of_equal_weights() -> None:
    assert effective_count(torch.tensor([2.0, 2.0, 2.0])) == pytest.approx(3)
    assert effective_count(torch.tensor([1.0, 0.0])) == pytest.approx(1)
