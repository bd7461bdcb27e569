"""Masks that need no fonts: every class a bar of its own length."""

import torch

from training.glyphs import CLASSES, MASK_SIZE, GlyphMasks


def bar_masks() -> GlyphMasks:
    """Two masks of each class: a bar whose length grows with the label, thin and thick."""
    masks = torch.zeros((2 * len(CLASSES), MASK_SIZE, MASK_SIZE), dtype=torch.uint8)
    labels = torch.arange(len(CLASSES)).repeat(2)
    for row, label in enumerate(labels.tolist()):
        half_width = 3 if row < len(CLASSES) else 6
        masks[row, 5 : 7 + label, 24 - half_width : 24 + half_width] = 255
    held_out = torch.arange(2 * len(CLASSES)) >= len(CLASSES)
    return GlyphMasks(masks, labels, held_out, ("fake/thin", "fake/thick"))
