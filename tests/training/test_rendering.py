import pytest
import torch

from tests.training.fakes import bar_masks
from training.glyphs import CLASSES
from training.rendering import (
    DARK_RANGE,
    LIGHT_RANGE,
    LUMINANCE,
    GlyphRenderer,
    at_luminance,
    colours,
    place,
)


def luminance(colour: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) -> (B, H, W)."""
    return torch.einsum("bchw,c->bhw", colour, torch.tensor(LUMINANCE))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_seed_gives_the_same_batch() -> None:
    renderer = GlyphRenderer.of(bar_masks())
    first, first_labels = renderer.batch(16, seeded(5))
    again, again_labels = renderer.batch(16, seeded(5))
    other, _ = renderer.batch(16, seeded(6))
    assert torch.equal(first, again)
    assert torch.equal(first_labels, again_labels)
    assert not torch.equal(first, other)


def test_images_are_32_pixels_wide_and_lie_between_minus_one_and_one() -> None:
    images, labels = GlyphRenderer.of(bar_masks()).batch(200, seeded())
    assert images.shape == (200, 3, 32, 32)
    assert images.min() >= -1
    assert images.max() <= 1
    assert labels.min() >= 0
    assert labels.max() < len(CLASSES)


def test_every_class_is_drawn_from_its_own_masks() -> None:
    renderer = GlyphRenderer.of(bar_masks())
    labels = torch.arange(len(CLASSES))
    for copies in (0, 1):
        index = renderer.starts[labels] + copies
        lengths = (renderer.masks[index].amax(dim=2) > 0).sum(dim=1)
        assert torch.equal(lengths, 2 + labels)
    assert torch.equal(renderer.counts, torch.full((len(CLASSES),), 2))


def test_held_out_masks_are_never_among_the_training_masks() -> None:
    masks = bar_masks()
    thin, thick = masks.select(held_out=False), masks.select(held_out=True)
    assert len(thin.labels) == len(thick.labels) == len(CLASSES)
    assert thin.masks.float().sum() * 2 == thick.masks.float().sum()


def test_ink_and_background_never_come_near_in_luminance() -> None:
    ink, background = colours(2000, seeded())
    assert ink.shape == (2000, 3, 1, 1)
    difference = (luminance(ink) - luminance(background)).abs()
    assert difference.min() > LIGHT_RANGE[0] - DARK_RANGE[1] - 1e-5


def test_a_colour_meets_the_luminance_asked_for() -> None:
    tint, target = torch.rand((500, 3), generator=seeded()), torch.rand(500, generator=seeded(1))
    found = at_luminance(tint, target)
    assert found.min() >= 0
    assert found.max() <= 1
    torch.testing.assert_close(found @ torch.tensor(LUMINANCE), target, rtol=0, atol=1e-5)


def test_a_glyph_stays_whole_wherever_it_is_placed() -> None:
    # A full box is the widest glyph; its ink must not be cut by the image's edge.
    masks = torch.zeros((500, 1, 48, 48))
    masks[:, :, 4:44, 4:44] = 1
    placed = place(masks, seeded())
    scale_squared = placed.sum((1, 2, 3)) / (40 * 40 * (32 / 48) ** 2)
    edge = torch.cat([placed[:, 0, 0], placed[:, 0, -1], placed[:, 0, :, 0], placed[:, 0, :, -1]])
    assert scale_squared.min() == pytest.approx(0.76**2, abs=0.02)
    assert scale_squared.max() <= 1.01
    assert edge.mean() < 0.02
