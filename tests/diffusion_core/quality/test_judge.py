"""What a judge is made of: its files, and the name of what it measures with."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from diffusion_core.errors import ModelInvalid
from diffusion_core.networks.classifier import NUM_FEATURES, GlyphClassifier
from diffusion_core.quality import FeatureStatistics, Judge, save_features
from diffusion_core.quality.judge import load_features


def a_judge(real: torch.Tensor | None) -> Judge:
    torch.manual_seed(0)
    features = torch.randn(50, NUM_FEATURES)
    return Judge(GlyphClassifier(4).eval(), FeatureStatistics.of(features), real)


def test_one_pass_reads_what_two_do() -> None:
    judge = a_judge(None)
    images = torch.randn(6, 3, 32, 32)
    features, shown = judge.read(images)
    assert torch.equal(features, judge.classifier.features(images.clamp(-1, 1)))
    assert torch.equal(shown, judge.classifier(images.clamp(-1, 1)).argmax(1))


def test_the_digest_follows_from_all_that_a_figure_depends_on() -> None:
    real = torch.rand(9, NUM_FEATURES)
    assert a_judge(real).digest == a_judge(real.clone()).digest
    other = Judge(GlyphClassifier(4), a_judge(None).reference, real)
    assert len({a_judge(None).digest, a_judge(real).digest, a_judge(real + 1).digest}) == 3
    assert other.digest != a_judge(real).digest


def test_without_real_features_there_is_no_region_of_real_images() -> None:
    assert a_judge(None).real is None
    real = a_judge(torch.rand(9, NUM_FEATURES)).real
    assert real is not None
    assert len(real) == 9


def test_features_survive_a_file_to_three_digits(tmp_path: Path) -> None:
    features = 10 * torch.rand(7, NUM_FEATURES)
    path = tmp_path / "features.safetensors"
    path.write_bytes(save_features(features))
    torch.testing.assert_close(load_features(path), features, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "header"),
        (save({"mean": torch.zeros(9, NUM_FEATURES)}), "must hold features"),
        (save({"features": torch.zeros(9, 5)}), "must hold features"),
        (save({"features": torch.zeros(3, NUM_FEATURES)}), "must hold more than 3, got 3"),
    ],
)
def test_damaged_features_are_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "features.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelInvalid, match=complaint):
        load_features(path)
