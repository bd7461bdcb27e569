from pathlib import Path
from typing import cast

import pytest
import torch

from diffusion_core.files import write_atomically
from tests.training.fakes import bar_masks
from training.checkpoint import Progress, load_average
from training.generator import GeneratorTraining, Recipe
from training.loss import MAX_WEIGHT, DiffusionLoss, TimesRecipe
from training.rendering import GlyphRenderer
from training.siblings import CONVOLUTIONS, GLYPHS, SIBLINGS, TRANSFORMER, Sibling

SMALL = {"patch_size": 8, "hidden_size": 16, "depth": 1}
TINY = {
    "dit": TRANSFORMER.model_copy(update={**SMALL, "num_heads": 2}),
    "flowdcn": CONVOLUTIONS.model_copy(update={**SMALL, "num_groups": 2}),
}


def tiny_training(checkpoint: Path, steps: int, sibling: Sibling = GLYPHS) -> GeneratorTraining:
    """A run that takes milliseconds; its budget is steps, so that it ends in one exact place."""
    torch.manual_seed(0)
    recipe = Recipe(minutes=1e9, steps=steps, batch_size=8, warmup_steps=2, checkpoint_every=1)
    network = TINY[sibling.architecture.network].build()
    renderer = GlyphRenderer.of(bar_masks())
    return GeneratorTraining(sibling, network, renderer, recipe, checkpoint)


def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole = tiny_training(tmp_path / "whole.safetensors", steps=6)
    whole.run()
    interrupted = tiny_training(tmp_path / "parts.safetensors", steps=6)
    for _ in range(3):
        interrupted.advance()
    interrupted.save()
    interrupted.advance()  # lost: the process dies before the next checkpoint
    resumed = tiny_training(tmp_path / "parts.safetensors", steps=6)
    assert resumed.progress.step == 3
    resumed.run()
    for left, right in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(left, right)
    whole_average, _ = load_average(tmp_path / "whole.safetensors")
    resumed_average, progress = load_average(tmp_path / "parts.safetensors")
    assert progress.step == 6
    assert all(torch.equal(whole_average[name], resumed_average[name]) for name in whole_average)


@pytest.mark.parametrize("sibling", SIBLINGS.values(), ids=lambda sibling: sibling.name)
def test_training_lowers_the_loss_and_leaves_a_sheet(tmp_path: Path, sibling: Sibling) -> None:
    training = tiny_training(tmp_path / "generator.safetensors", steps=40, sibling=sibling)
    before = loss_of_a_fixed_batch(training)
    training.run()
    assert loss_of_a_fixed_batch(training) < before
    assert (tmp_path / "sheet-000040.png").exists()


@torch.no_grad()
def loss_of_a_fixed_batch(training: GeneratorTraining) -> float:
    generator = torch.Generator().manual_seed(5)
    images, labels = training.renderer.batch(64, generator)
    noise = torch.randn(images.shape, generator=generator)
    return float(training.loss(images, noise, TimesRecipe().draw(64, generator), labels))


def test_the_rate_warms_up_then_holds_then_decays() -> None:
    recipe = Recipe(minutes=10, steps=1000, warmup_steps=100, decay_fraction=0.25)

    def rate(step: int) -> float:
        return recipe.rate(Progress(step)) / recipe.learning_rate

    assert rate(49) == pytest.approx(0.5)
    assert rate(99) == rate(749) == pytest.approx(1)
    assert rate(875) == pytest.approx(0.505)
    assert rate(1000) == pytest.approx(0.01)


def test_the_budget_ends_by_whichever_is_spent_first() -> None:
    recipe = Recipe(minutes=10, steps=1000)
    assert recipe.spent(Progress(step=900, seconds=60)) == pytest.approx(0.9)
    assert recipe.spent(Progress(step=100, seconds=300)) == pytest.approx(0.5)
    assert recipe.spent(Progress(step=2000, seconds=60)) == 1


def test_training_times_cover_both_ends() -> None:
    times = TimesRecipe(-0.8, 0.3).draw(20_000, torch.Generator().manual_seed(0))
    assert 0 <= times.min() < 0.001
    assert 0.999 < times.max() <= 1
    # The median solves 0.7 * P(normal < 0.8 + logit(m)) + 0.3 * m = 0.5.
    assert times.median().item() == pytest.approx(0.3465, abs=0.01)


def test_both_diffusions_see_the_same_signal_to_noise_ratios() -> None:
    times = torch.tensor([0.02, 0.31, 0.7, 0.95])
    ratios = []
    for sibling in (SIBLINGS["glyphs"], SIBLINGS["glyphs-ddpm"]):
        _, alpha, sigma, _ = DiffusionLoss(sibling.build(), sibling.kind).prepare(times)
        ratios.append(torch.log(alpha / sigma))
    assert (ratios[0] - ratios[1]).abs().max() < 0.02  # DDPM has a thousand of them


def test_the_noise_is_trained_on_whole_indices_with_the_weight_of_the_velocity() -> None:
    sibling = SIBLINGS["glyphs-ddpm"]
    times = torch.linspace(0.01, 0.999, 50)
    index, alpha, sigma, weight = DiffusionLoss(sibling.build(), sibling.kind).prepare(times)
    assert torch.equal(index, index.round())
    assert 0 <= index.min() < index.max() <= 999
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones(50))
    # x / (alpha + sigma) is rectified flow's state at t: noise = that state - t * velocity.
    wanted = (1 / times.square()).clamp(max=MAX_WEIGHT)
    torch.testing.assert_close(weight, wanted, rtol=0.05, atol=0.0)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(b"old", path)
    with pytest.raises(TypeError):
        write_atomically(cast(bytes, None), path)  # fails in the middle of the write
    assert path.read_bytes() == b"old"
    write_atomically(b"new", path)
    assert path.read_bytes() == b"new"
