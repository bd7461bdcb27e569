"""Several pictures on one sheet."""

import io
import math
from collections.abc import Sequence

from PIL import Image

GAP = 4  # pixels between pictures
MIN_TILE = 96  # smaller pictures are enlarged by whole factors, so that a sheet can be looked at
BACKGROUND = (24, 24, 28)


def contact_sheet(pngs: Sequence[bytes]) -> Image.Image:
    """A grid as square as possible, row by row; the pictures have one size."""
    tiles = [_enlarged(Image.open(io.BytesIO(png)).convert("RGB")) for png in pngs]
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    width, height = tiles[0].width + GAP, tiles[0].height + GAP
    sheet = Image.new("RGB", (columns * width + GAP, rows * height + GAP), BACKGROUND)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (GAP + column * width, GAP + row * height))
    return sheet


def _enlarged(picture: Image.Image) -> Image.Image:
    factor = max(1, MIN_TILE // picture.width)
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST)
