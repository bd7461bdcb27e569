"""Contact sheets: many small images in one PNG."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def save_sheet(images: Tensor, columns: int, path: Path, zoom: int = 2) -> None:
    """Write images (B, 3, H, W) in [-1, 1] row by row; B must be a multiple of `columns`."""
    b, c, h, w = images.shape
    grid = images.reshape(b // columns, columns, c, h, w).permute(0, 3, 1, 4, 2)
    pixels = ((grid.reshape(-1, columns * w, c).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    sheet = Image.fromarray(pixels.numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST).save(path)
