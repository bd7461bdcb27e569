"""Statistics and distances against numpy, scipy and torchmetrics."""

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from diffusion_core.errors import ModelInvalid
from diffusion_core.networks.classifier import NUM_FEATURES, GlyphClassifier
from diffusion_core.quality import (
    FeatureStatistics,
    Judge,
    accuracy_interval,
    endpoint_rmse,
    frechet_distance,
    load_classifier,
)


def random_features(count: int, size: int, seed: int) -> Tensor:
    """Correlated features with a mean far from zero, where naive sums of squares cancel."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn((size, size), generator=generator)
    return torch.randn((count, size), generator=generator) @ mixing + 1000.0


def test_statistics_equal_numpy() -> None:
    features = random_features(300, 7, seed=0)
    statistics = FeatureStatistics.of(features)
    exact = features.double().numpy()
    np.testing.assert_allclose(statistics.mean, exact.mean(0), rtol=1e-13)
    np.testing.assert_allclose(statistics.covariance, np.cov(exact.T), rtol=1e-10)


def test_streamed_statistics_equal_those_of_the_whole_set() -> None:
    features = random_features(1000, 5, seed=1)
    streamed = FeatureStatistics.empty(5)
    for batch in features.split([1, 500, 99, 400]):
        streamed += FeatureStatistics.of(batch)
    whole = FeatureStatistics.of(features)
    assert streamed.count == whole.count == 1000
    torch.testing.assert_close(streamed.mean, whole.mean, rtol=1e-13, atol=0)
    torch.testing.assert_close(streamed.scatter, whole.scatter, rtol=1e-10, atol=0)


def test_statistics_survive_a_file(tmp_path: Path) -> None:
    statistics = FeatureStatistics.of(random_features(50, 4, seed=2))
    path = tmp_path / "statistics.safetensors"
    path.write_bytes(statistics.to_bytes())
    loaded = FeatureStatistics.load(path)
    assert loaded.count == 50
    torch.testing.assert_close(loaded.mean, statistics.mean, rtol=0, atol=0)
    torch.testing.assert_close(loaded.scatter, statistics.scatter, rtol=1e-14, atol=0)


def moments(**changes: torch.Tensor) -> bytes:
    """A file of nine vectors' moments, but for the changes."""
    whole = {"count": torch.tensor(9), "mean": torch.zeros(3), "covariance": torch.eye(3)}
    return save(whole | changes)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "header"),
        (save({"mean": torch.zeros(3)}), "must hold count, mean and covariance"),
        (moments(kurtosis=torch.zeros(3)), "must hold count, mean and covariance"),
        (moments(covariance=torch.eye(2)), "must be square over the 3 features"),
        (moments(covariance=torch.full((3, 3), torch.nan)), "must be finite"),
        (moments(count=torch.tensor(torch.inf)), "must be finite"),
        (moments(count=torch.tensor(1)), "at least 2 feature vectors, got 1"),
    ],
)
def test_a_damaged_statistics_file_is_refused(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "statistics.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelInvalid, match=complaint):
        FeatureStatistics.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"nowhere\.safetensors"):
        FeatureStatistics.load(tmp_path / "nowhere.safetensors")


def test_one_vector_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="at least 2 feature vectors, got 1"):
        _ = FeatureStatistics.of(torch.zeros(1, 3)).covariance


class ColourMoments(nn.Module):
    """A feature extractor for torchmetrics: fixed random projections of tiny uint8 images."""

    num_features = 12

    def forward(self, images: Tensor) -> Tensor:
        flat = images.float().flatten(1) / 255
        weights = torch.randn((flat.shape[1], 12), generator=torch.Generator().manual_seed(3))
        return torch.tanh(flat @ weights)


def test_distance_equals_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(4)
    real = torch.randint(0, 256, (200, 3, 4, 4), dtype=torch.uint8, generator=generator)
    fake = torch.randint(0, 180, (150, 3, 4, 4), dtype=torch.uint8, generator=generator)
    extract = ColourMoments()
    oracle = FrechetInceptionDistance(
        feature=extract, input_img_size=(3, 4, 4), antialias=False
    ).set_dtype(torch.float64)
    oracle.update(real, real=True)
    oracle.update(fake, real=False)
    ours = frechet_distance(
        FeatureStatistics.of(extract(real)), FeatureStatistics.of(extract(fake))
    )
    assert ours == pytest.approx(float(oracle.compute()), rel=1e-6)


def test_distance_equals_the_matrix_root_of_scipy() -> None:
    a = FeatureStatistics.of(random_features(100, 6, seed=5) - 1000)
    b = FeatureStatistics.of(random_features(100, 6, seed=6) - 999)
    root = scipy.linalg.sqrtm(a.covariance.numpy() @ b.covariance.numpy()).real
    expected = (a.mean - b.mean).square().sum() + np.trace(
        a.covariance.numpy() + b.covariance.numpy() - 2 * root
    )
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


def test_distance_of_a_set_to_itself_is_zero_even_where_its_covariance_is_singular() -> None:
    few = FeatureStatistics.of(random_features(4, 16, seed=7))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-5)


def test_distance_of_shifted_sets_is_the_squared_shift() -> None:
    features = random_features(60, 3, seed=8).double()
    shift = torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64)
    a, b = FeatureStatistics.of(features), FeatureStatistics.of(features + shift)
    assert frechet_distance(a, b) == pytest.approx(25, rel=1e-8)


def test_accuracy_interval_equals_a_worked_example() -> None:
    # Newcombe (1998), table I: 81 of 263, Wilson score without continuity correction.
    low, high = accuracy_interval(81 / 263, 263, z=1.959964)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_endpoint_rmse_of_a_constant_difference_is_that_difference() -> None:
    assert endpoint_rmse(torch.full((2, 3, 4, 4), 0.5), torch.zeros(2, 3, 4, 4)) == 0.5


def test_a_judge_counts_what_its_classifier_says() -> None:
    torch.manual_seed(0)
    images = torch.randn(12, 3, 32, 32)
    classifier = GlyphClassifier(5).eval()
    reference = FeatureStatistics.of(classifier.features(images.clamp(-1, 1)))
    judge = Judge(classifier, reference)
    said = classifier(images.clamp(-1, 1)).argmax(1)
    asked = said.clone()
    asked[:3] = (asked[:3] + 1) % 5
    quality = judge.measure(zip(images.split(5), asked.split(5), strict=True))
    assert quality.count == 12
    assert quality.class_accuracy == pytest.approx(0.75)
    assert quality.frechet_distance == pytest.approx(0, abs=1e-5)


def test_a_classifier_of_other_classes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"
    path.write_bytes(save(GlyphClassifier(5).state_dict()))
    assert load_classifier(path, 5).num_features == NUM_FEATURES
    with pytest.raises(ModelInvalid, match="classify"):
        load_classifier(path, 6)
