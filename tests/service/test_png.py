import io

import numpy as np
import pytest
from PIL import Image

from service.png import PictureUnreadable, Provenance, encode, read_provenance

PROVENANCE = Provenance(
    model="glyphs",
    model_digest="a" * 64,
    class_id=7,
    class_name="七",  # beyond Latin-1
    solver="ab2",
    solver_version=None,
    solver_digest="b" * 64,
    steps=8,
    guidance_scale=1.1,
    seed=2**53 - 1,
    deterministic=True,
    fewstep="0.1.0",
)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (5, 17), (300, 200)])
def test_another_reader_sees_the_same_pixels(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    picture = Image.open(io.BytesIO(encode(pixels, PROVENANCE)))
    picture.verify()  # checksums
    picture = Image.open(io.BytesIO(encode(pixels, PROVENANCE)))
    assert picture.mode == "RGB"
    assert (np.asarray(picture) == pixels).all()


def test_the_provenance_is_read_back_and_by_others_too() -> None:
    png = encode(np.zeros((4, 4, 3), dtype=np.uint8), PROVENANCE)
    assert read_provenance(png) == PROVENANCE
    picture = Image.open(io.BytesIO(png))
    assert '"seed": 9007199254740991' in picture.info["fewstep"]


def test_smooth_pictures_become_small() -> None:
    rows = np.linspace(0, 255, 256).astype(np.uint8)
    pixels = np.broadcast_to(rows[:, None, None], (256, 256, 3)).copy()
    assert len(encode(pixels)) < pixels.size / 50


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"GIF89a",
        encode(np.zeros((4, 4, 3), dtype=np.uint8)),  # a preview
        encode(np.zeros((4, 4, 3), dtype=np.uint8), PROVENANCE)[:60],
        encode(np.zeros((4, 4, 3), dtype=np.uint8), PROVENANCE).replace(b'"seed"', b'"sead"'),
    ],
    ids=["empty", "gif", "without", "cut off", "another field"],
)
def test_what_carries_no_provenance_is_said_to_be_unreadable(broken: bytes) -> None:
    with pytest.raises(PictureUnreadable):
        read_provenance(broken)
