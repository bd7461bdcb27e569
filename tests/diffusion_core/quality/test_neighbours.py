"""Precision and recall, by hand and by brute force."""

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.quality import Manifold, neighbours, precision_estimate, recall_estimate


def on_a_line(*places: float) -> Tensor:
    return torch.tensor(places)[:, None]


def brute_force_covered(points: Tensor, centres: Tensor, k: int) -> list[bool]:
    """Every distance by itself, in float64."""
    p, c = points.double().numpy(), centres.double().numpy()
    radii = [
        sorted(np.linalg.norm(a - b) for j, b in enumerate(c) if j != i)[k - 1]
        for i, a in enumerate(c)
    ]
    return [
        any(np.linalg.norm(x - b) <= radius for b, radius in zip(c, radii, strict=True)) for x in p
    ]


def test_a_radius_reaches_to_the_kth_neighbour() -> None:
    manifold = Manifold.of(on_a_line(0, 1, 3, 7), k=2)
    assert manifold.radii.tolist() == [3, 2, 3, 6]
    inside, edge, outside = manifold.covers(on_a_line(5, 13, 13.5)).tolist()
    assert (inside, edge, outside) == (True, True, False)


def test_a_repeated_image_has_no_reach() -> None:
    manifold = Manifold.of(on_a_line(2, 2, 2), k=2)
    assert manifold.covers(on_a_line(2, 2.001)).tolist() == [True, False]


def test_a_model_that_draws_one_mode_has_precision_without_recall() -> None:
    left, right = torch.linspace(0, 1, 20)[:, None], torch.linspace(10, 11, 20)[:, None]
    real = torch.cat([left, right])
    groups = torch.arange(20)
    assert precision_estimate(left + 0.01, groups, Manifold.of(real)).value == 1
    assert recall_estimate(left + 0.01, groups, real).value == 0.5


def test_a_model_that_draws_too_much_has_recall_without_precision() -> None:
    real = torch.linspace(0, 1, 20)[:, None]
    samples = torch.cat([real + 0.01, real + 100])
    groups = torch.arange(40) % 20
    precision = precision_estimate(samples, groups, Manifold.of(real))
    assert precision.value == 0.5
    assert precision.standard_error == pytest.approx(0, abs=1e-9)  # every group holds one of each
    assert recall_estimate(samples, groups, real).value == 1


@pytest.mark.parametrize("max_distances", [1, 100, 2**22])
def test_both_equal_brute_force_whatever_is_held_at_once(
    monkeypatch: pytest.MonkeyPatch, max_distances: int
) -> None:
    monkeypatch.setattr(neighbours, "MAX_DISTANCES", max_distances)
    generator = torch.Generator().manual_seed(0)
    real = torch.randn((40, 3), generator=generator)
    samples = 0.8 * torch.randn((30, 3), generator=generator) + 0.3
    groups = torch.arange(30) % 5
    precision = precision_estimate(samples, groups, Manifold.of(real))
    recall = recall_estimate(samples, groups, real)
    assert precision.value == pytest.approx(np.mean(brute_force_covered(samples, real, 3)))
    assert recall.value == pytest.approx(np.mean(brute_force_covered(real, samples, 3)))
    for g in range(5):
        rest = samples[groups != g]
        assert precision.without[g] == pytest.approx(np.mean(brute_force_covered(rest, real, 3)))
        assert recall.without[g] == pytest.approx(np.mean(brute_force_covered(real, rest, 3)))


def test_too_few_have_no_neighbours() -> None:
    with pytest.raises(ValueError, match="3 neighbours need more than 3 features, got 3"):
        Manifold.of(on_a_line(0, 1, 2))
    with pytest.raises(ValueError, match="beside any group"):
        recall_estimate(on_a_line(0, 1, 2, 3), torch.arange(4), on_a_line(0, 1))
