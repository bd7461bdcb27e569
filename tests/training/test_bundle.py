"""What ships: the card, the weights, the judge and its statistics."""

import json
import math

import pytest
import torch

from diffusion_core.card import ModelCard
from diffusion_core.model import ModelFolder, load_model
from diffusion_core.quality import FeatureStatistics, Quality, frechet_distance, load_judge
from tests.training.fakes import bar_masks
from training.bundle import card_json
from training.guidance import report
from training.paths import BUNDLE
from training.sampling import sample
from training.siblings import GLYPHS, SIBLINGS, Sibling
from training.statistics import BATCH_SIZE, renderings

SHIPPED = [sibling for sibling in SIBLINGS.values() if sibling.weights.exists()]


@pytest.mark.parametrize("sibling", SIBLINGS.values(), ids=lambda sibling: sibling.name)
def test_the_card_that_training_writes_is_a_valid_card(sibling: Sibling) -> None:
    card = ModelCard.model_validate(json.loads(card_json(sibling, guidance_scale=1.75, steps=4000)))
    for file in (card.judge, card.statistics, card.critic, card.critic_statistics):
        assert file is not None
        assert (sibling.bundle / file).resolve().is_file()
    assert card.default_guidance_scale == 1.75
    assert card.class_name(0) == "0"
    assert card.class_name(35) == "Z"
    assert card.null_class == len(card.classes) == 36


def test_the_shipped_model_draws_what_it_is_asked_for() -> None:
    folder = ModelFolder.read(BUNDLE)
    model, judge = load_model(folder, torch.device("cpu")), load_judge(folder)
    labels = torch.arange(36)
    noise = torch.randn((36, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    scale = folder.card.default_guidance_scale
    images = sample(GLYPHS, model.network, noise, labels, scale, steps=16, solver="ab4")
    # Chance would give one of 36; the measured accuracy is in benchmarks/results.
    assert int((judge.classify(images) == labels).sum()) >= 31
    assert judge.reference.count == 50_000
    assert judge.real is not None
    assert len(judge.real) == 4_000


def test_the_shipped_features_are_of_the_images_that_the_statistics_describe() -> None:
    judge = load_judge(ModelFolder.read(BUNDLE))
    assert judge.real_features is not None
    few = FeatureStatistics.of(judge.real_features)
    # The distance of 4,000 such images from all 50,000 is what their number makes of it.
    assert frechet_distance(few, judge.reference) < 3


@pytest.mark.parametrize("sibling", SHIPPED, ids=lambda sibling: sibling.name)
def test_the_shipped_guidance_is_the_measured_best_of_these_weights(sibling: Sibling) -> None:
    figures = json.loads(sibling.figures.read_text())
    folder = ModelFolder.read(sibling.bundle)
    assert figures["parameters"]["weights_sha256"] == folder.weights_digest
    rows = figures["samples"]["guidance"]
    accurate = [row for row in rows if row["class_accuracy"] >= sibling.least_accuracy]
    (default,) = (
        row for row in accurate if row["guidance_scale"] == folder.card.default_guidance_scale
    )
    for row in accurate:
        assert default["frechet_distance"] <= 1.05 * row["frechet_distance"]
        if row["frechet_distance"] <= default["frechet_distance"]:
            assert default["class_accuracy"] >= row["class_accuracy"]


def test_the_accurate_guidance_with_the_lowest_distance_becomes_the_default() -> None:
    rows = {1.0: Quality(720, 0.8, 8.0), 1.5: Quality(720, 0.95, 9.0), 2.0: Quality(720, 0.99, 12)}
    real = {"held_out_fonts": Quality(720, 0.97, 20.0)}
    written = report(GLYPHS, rows, real, digest="ab").as_dict()
    assert written["figures"]["default_guidance_scale"] == 1.5
    assert written["figures"]["class_accuracy"] == 0.95
    low, high = written["samples"]["guidance"][1]["class_accuracy_95"]
    assert low < 0.95 < high
    assert math.isclose(low + high, 1.9, abs_tol=0.01)


def test_renderings_of_a_set_are_balanced_over_the_classes() -> None:
    batches = list(renderings(bar_masks(), count=2 * BATCH_SIZE + 80, seed=1))
    labels = torch.cat([labels for _, labels in batches])
    assert [len(images) for images, _ in batches] == [BATCH_SIZE, BATCH_SIZE, 80]
    assert torch.bincount(labels).tolist() == [30] * 36
