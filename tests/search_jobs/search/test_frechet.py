"""The descended Fréchet distance, against the closed form differentiated by torch."""

import torch
from torch import Tensor

from diffusion_core.quality import FeatureStatistics, frechet_distance
from search_jobs.search.frechet import RunningFrechet


def features(seed: int, count: int = 400, size: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=generator, dtype=torch.float64) / 5
    mixing += torch.eye(size, dtype=torch.float64)
    rows = torch.randn(count, size, generator=generator, dtype=torch.float64)
    return rows @ mixing + torch.randn(size, generator=generator, dtype=torch.float64)


def moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    return rows.mean(dim=0), rows.T @ rows / len(rows)


def closed_form(rows: Tensor, reference: FeatureStatistics) -> Tensor:
    """Of the batch itself, by the eigenvalues of the unsymmetric product."""
    mean, second = moments(rows)
    covariance = second - torch.outer(mean, mean)
    product = torch.linalg.eigvals(covariance @ reference.covariance)
    traces = covariance.trace() + reference.covariance.trace() - 2 * product.sqrt().real.sum()
    return (mean - reference.mean).square().sum() + traces


def test_its_gradient_is_that_of_the_closed_form() -> None:
    reference = FeatureStatistics.of(features(1))
    rows = features(2).requires_grad_()
    frechet = RunningFrechet(reference, decay=0.9)
    frechet.observe(*moments(rows.detach()))
    given = torch.autograd.grad(frechet.loss(rows), rows)[0]
    expected = torch.autograd.grad(closed_form(rows, reference), rows)[0]
    torch.testing.assert_close(given, expected, rtol=1e-6, atol=1e-9)


def test_its_distance_is_that_of_the_statistics() -> None:
    reference = FeatureStatistics.of(features(1))
    rows = features(2)
    frechet = RunningFrechet(reference, decay=0.9)
    frechet.observe(*moments(rows))
    biased = FeatureStatistics(len(rows) + 1, rows.mean(0), FeatureStatistics.of(rows).scatter)
    assert abs(frechet.distance() - frechet_distance(biased, reference)) < 1e-8


def test_averages_run_over_the_batches_of_the_past() -> None:
    frechet = RunningFrechet(FeatureStatistics.of(features(1)), decay=0.5)
    one, two = moments(features(2)), moments(features(3))
    frechet.observe(*one)
    frechet.observe(*two)
    expected = (one[0] / 4 + two[0] / 2) / 0.75
    torch.testing.assert_close(frechet.first / frechet.weight, expected)


def test_descending_it_moves_features_onto_the_reference() -> None:
    reference = FeatureStatistics.of(features(1))
    rows = features(2).requires_grad_()
    optimizer = torch.optim.Adam([rows], lr=0.05)
    frechet = RunningFrechet(reference, decay=0.5)
    for _ in range(300):
        frechet.observe(*moments(rows.detach()))
        optimizer.zero_grad()
        torch.autograd.backward(frechet.loss(rows))
        optimizer.step()
    before = frechet_distance(FeatureStatistics.of(features(2)), reference)
    assert frechet_distance(FeatureStatistics.of(rows), reference) < before / 1000
