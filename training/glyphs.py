"""Every (font, class) drawn once to a mask: the raw material of the data set.

GlyphMasks.masks       (N, 48, 48)  uint8, ink = 255, the glyph fitted to its box and centred
GlyphMasks.labels      (N,)         int64, 0..35: the digits, then the capitals
GlyphMasks.held_out    (N,)         bool: from a package that no training ever sees
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .fonts import FontFile, find_fonts

CLASSES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MASK_SIZE = 48
INK_SIZE = 40  # the longer side of a fitted glyph; the rest is margin
DRAW_SIZE = 200  # font size that glyphs are drawn at before they are fitted
DUPLICATE_DISTANCE = 0.02  # mean absolute difference of ink under which two fonts are the same
# An old-style 0 is a small ring and its 1 a small capital I: fitted to a box they are letters.
LEAST_DIGIT_HEIGHT = 0.88  # of the height of H


@dataclass(frozen=True)
class GlyphMasks:
    masks: Tensor
    labels: Tensor
    held_out: Tensor
    fonts: tuple[str, ...]  # "package/file" of each font used, training fonts first

    def select(self, held_out: bool) -> "GlyphMasks":
        """The training masks, or those of the held-out fonts."""
        chosen = self.held_out == held_out
        return GlyphMasks(
            self.masks[chosen], self.labels[chosen], self.held_out[chosen], self.fonts
        )


def load_masks(cache: Path) -> GlyphMasks:
    """Read the masks from the cache, drawing them first where there is none."""
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        masks = draw_masks()
        save_file(
            {"masks": masks.masks, "labels": masks.labels, "held_out": masks.held_out},
            cache,
            metadata={"fonts": json.dumps(masks.fonts)},
        )
    with safe_open(cache, framework="pt") as file:
        fonts = tuple(json.loads(file.metadata()["fonts"]))
        masks, labels, held_out = map(file.get_tensor, ("masks", "labels", "held_out"))
    return GlyphMasks(masks, labels, held_out, fonts)


def draw_masks() -> GlyphMasks:
    """Draw every fit font once; drop fonts that repeat one already drawn.

    Raises RuntimeError where none of the packages is installed.
    """
    drawn = [(font, glyphs) for font in find_fonts() if (glyphs := draw_font(font.path))]
    if not drawn:
        raise RuntimeError("no fonts: apt-get install $(python -m training packages)")
    # Training fonts first, so that of two equal fonts the held-out one is dropped.
    drawn.sort(key=lambda pair: pair[0].held_out)
    kept = drop_repeated(drawn)
    rows = [(mask, label, font.held_out) for font, glyphs in kept for label, mask in glyphs.items()]
    return GlyphMasks(
        torch.from_numpy(np.stack([mask for mask, _, _ in rows])),
        torch.tensor([label for _, label, _ in rows]),
        torch.tensor([held_out for _, _, held_out in rows]),
        tuple(f"{font.package}/{font.path.name}" for font, _ in kept),
    )


def draw_font(path: Path) -> dict[int, np.ndarray] | None:
    """Draw the classes of one font file, as glyphs_of tells."""
    font = ImageFont.truetype(str(path), DRAW_SIZE)
    return glyphs_of(lambda character: draw_ink(font, character))


def glyphs_of(draw: Callable[[str], np.ndarray | None]) -> dict[int, np.ndarray] | None:
    """Draw the 36 classes of one font; None where it has no true Latin digits and capitals.

    draw     character -> its ink (h, w) uint8, or None where it leaves none
    Returns  {label: (48, 48) uint8}; without the digits where the font's digits are old-style
    """
    inks = [draw(character) for character in CLASSES]
    missing = draw("\U0010fffd")  # the box, or nothing, that stands for an absent glyph
    if any(ink is None or same_ink(ink, missing) for ink in inks):
        return None
    glyphs = {label: fit(ink) for label, ink in enumerate(inks) if ink is not None}
    if len({glyph.tobytes() for glyph in glyphs.values()}) < len(CLASSES) - 1:
        return None  # one shape stands for several letters
    height = {c: ink.shape[0] for c, ink in zip(CLASSES, inks, strict=True) if ink is not None}
    if min(height[digit] for digit in "012") < LEAST_DIGIT_HEIGHT * height["H"]:
        return {label: glyph for label, glyph in glyphs.items() if label >= 10}
    return glyphs


def draw_ink(font: ImageFont.FreeTypeFont, character: str) -> np.ndarray | None:
    """The glyph cut to its ink, (h, w) uint8; None where it leaves none."""
    canvas = Image.new("L", (3 * DRAW_SIZE, 3 * DRAW_SIZE))
    ImageDraw.Draw(canvas).text((DRAW_SIZE, DRAW_SIZE), character, font=font, fill=255)
    box = canvas.getbbox()
    return None if box is None else np.asarray(canvas.crop(box))


def same_ink(a: np.ndarray, b: np.ndarray | None) -> bool:
    return b is not None and a.shape == b.shape and bool((a == b).all())


def fit(ink: np.ndarray) -> np.ndarray:
    """Scale a glyph so that its longer side is 40 pixels, keep its proportions, centre it."""
    height, width = ink.shape
    scale = INK_SIZE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    box = Image.new("L", (MASK_SIZE, MASK_SIZE))
    corner = ((MASK_SIZE - size[0]) // 2, (MASK_SIZE - size[1]) // 2)
    box.paste(Image.fromarray(ink).resize(size, Image.Resampling.BOX), corner)
    return np.asarray(box).copy()


def drop_repeated(
    drawn: list[tuple[FontFile, dict[int, np.ndarray]]],
) -> list[tuple[FontFile, dict[int, np.ndarray]]]:
    """Keep the first of every group of fonts whose capitals look the same."""
    letters = range(10, len(CLASSES))
    shapes = np.stack([np.stack([glyphs[label] for label in letters]) for _, glyphs in drawn])
    shapes = shapes.astype(np.float32).reshape(len(drawn), -1) / 255  # (F, 26 * 48 * 48)
    kept: list[int] = []
    for index, shape in enumerate(shapes):
        differences = [np.abs(shapes[other] - shape).mean() for other in kept]
        if not differences or min(differences) > DUPLICATE_DISTANCE:
            kept.append(index)
    return [drawn[index] for index in kept]
