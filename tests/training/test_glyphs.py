from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from training.fonts import HELD_OUT_PACKAGES, TRAINING_PACKAGES, FontFile
from training.glyphs import (
    CLASSES,
    DRAW_SIZE,
    INK_SIZE,
    MASK_SIZE,
    draw_ink,
    drop_repeated,
    fit,
    glyphs_of,
)


def default_font(character: str) -> np.ndarray | None:
    """Pillow's built-in face: Latin, with full-height digits."""
    font = ImageFont.load_default(DRAW_SIZE)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return draw_ink(font, character)


def box(height: int, width: int) -> np.ndarray:
    return np.full((height, width), 255, np.uint8)


def test_a_latin_font_gives_36_different_glyphs() -> None:
    glyphs = glyphs_of(default_font)
    assert glyphs is not None
    assert sorted(glyphs) == list(range(36))
    assert len({glyph.tobytes() for glyph in glyphs.values()}) == 36


def test_a_font_that_draws_its_missing_box_for_letters_is_left_out() -> None:
    assert glyphs_of(lambda character: box(140, 90)) is None


def test_a_font_that_draws_one_shape_for_several_letters_is_left_out() -> None:
    assert glyphs_of(lambda c: default_font("A" if c in "ABCDE" else c)) is None


def test_a_font_that_lacks_a_letter_is_left_out() -> None:
    assert glyphs_of(lambda c: None if c == "Q" else default_font(c)) is None


def test_old_style_digits_are_left_out_but_the_letters_stay() -> None:
    def old_style(character: str) -> np.ndarray | None:
        ink = default_font(character)
        return ink[::2] if ink is not None and character in "012" else ink

    glyphs = glyphs_of(old_style)
    assert glyphs is not None
    assert sorted(glyphs) == list(range(10, 36))


@pytest.mark.parametrize("shape", [(140, 90), (50, 200), (7, 3)])
def test_a_fitted_glyph_keeps_its_proportions_and_is_centred(shape: tuple[int, int]) -> None:
    mask = fit(box(*shape))
    rows, columns = np.nonzero(mask)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert mask.shape == (MASK_SIZE, MASK_SIZE)
    assert max(height, width) == INK_SIZE
    assert height / width == pytest.approx(shape[0] / shape[1], rel=0.06)
    assert abs(rows.min() + rows.max() - (MASK_SIZE - 1)) <= 1
    assert abs(columns.min() + columns.max() - (MASK_SIZE - 1)) <= 1


def test_of_two_equal_fonts_the_first_is_kept() -> None:
    glyphs = glyphs_of(default_font)
    assert glyphs is not None
    mirrored = {label: glyph[:, ::-1] for label, glyph in glyphs.items()}
    fonts = [FontFile("package", Path(name), False) for name in ("first", "again", "other")]
    kept = drop_repeated(list(zip(fonts, (glyphs, glyphs, mirrored), strict=True)))
    assert [font.path.name for font, _ in kept] == ["first", "other"]


def test_no_package_is_both_trained_on_and_held_out() -> None:
    assert not set(TRAINING_PACKAGES) & set(HELD_OUT_PACKAGES)
    assert len(CLASSES) == 36
