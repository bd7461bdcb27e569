"""Masks -> coloured 32x32 training images, a whole batch at once.

Everything random comes from one torch.Generator, so a seed names a batch on every machine.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .glyphs import GlyphMasks

IMAGE_SIZE = 32
OVERSAMPLING = 2  # glyphs are placed on a finer grid and averaged down, which smooths their edges
MAX_ROTATION = math.radians(8)
MAX_SHIFT = 0.08  # of half the image
SCALE_RANGE = (0.76, 1.0)
# Luminance of the ink's side and the background's side: never nearer than 0.25.
DARK_RANGE = (0.03, 0.33)
LIGHT_RANGE = (0.58, 0.95)
LUMINANCE = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True)
class GlyphRenderer:
    """Draws classes uniformly, and within a class the fonts uniformly."""

    masks: Tensor  # (N, 48, 48) uint8, sorted by label
    starts: Tensor  # (36,) first mask of each class
    counts: Tensor  # (36,) masks of each class

    @classmethod
    def of(cls, glyphs: GlyphMasks) -> "GlyphRenderer":
        order = torch.argsort(glyphs.labels, stable=True)
        counts = torch.bincount(glyphs.labels)
        return cls(glyphs.masks[order], counts.cumsum(0) - counts, counts)

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A random batch: images (B, 3, 32, 32) in [-1, 1] and labels (B,)."""
        labels = torch.randint(len(self.counts), (size,), generator=generator)
        return self.render(labels, generator), labels

    def render(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Draw each class asked for in a random font, place and colour.

        labels   (B,)            int64
        Returns  (B, 3, 32, 32)  in [-1, 1]
        """
        pick = torch.rand(len(labels), generator=generator)
        index = self.starts[labels] + (pick * self.counts[labels]).long()
        ink = place(self.masks[index].float().unsqueeze(1) / 255, generator)  # (B, 1, 32, 32)
        foreground, background = colours(len(labels), generator)
        return (ink * foreground + (1 - ink) * background) * 2 - 1


def place(masks: Tensor, generator: torch.Generator) -> Tensor:
    """Rotate, scale and shift each mask at random.

    masks    (B, 1, 48, 48)
    Returns  (B, 1, 32, 32)
    """
    b = len(masks)
    angle = uniform((b,), -MAX_ROTATION, MAX_ROTATION, generator)
    zoom = 1 / uniform((b,), *SCALE_RANGE, generator)  # from image to mask coordinates
    shift = uniform((b, 2), -MAX_SHIFT, MAX_SHIFT, generator)
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1)
    matrix = (rotation * zoom[:, None]).reshape(b, 2, 2)
    affine = torch.cat([matrix, shift.unsqueeze(2)], dim=2)  # (B, 2, 3)
    fine = IMAGE_SIZE * OVERSAMPLING
    grid = F.affine_grid(affine, [b, 1, fine, fine], align_corners=False)
    return F.avg_pool2d(F.grid_sample(masks, grid, align_corners=False), OVERSAMPLING)


def colours(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One ink colour (B, 3, 1, 1) and one shaded background (B, 3, 32, 32), in [0, 1]."""
    tint = torch.rand((3, size, 3), generator=generator)
    tint[2] = tint[1].lerp(tint[2], 0.5)  # the two ends of the shading are related colours
    dark = uniform((3, size), *DARK_RANGE, generator)
    light = uniform((3, size), *LIGHT_RANGE, generator)
    dark_ink = torch.rand(size, generator=generator) < 0.5
    targets = torch.stack(
        [
            torch.where(dark_ink, dark[0], light[0]),
            torch.where(dark_ink, light[1], dark[1]),
            torch.where(dark_ink, light[2], dark[2]),
        ]
    )
    ink, start, end = at_luminance(tint, targets)[:, :, :, None, None]  # each (B, 3, 1, 1)
    return ink, start.lerp(end, ramp(size, generator))


def ramp(size: int, generator: torch.Generator) -> Tensor:
    """A linear shading from 0 to 1 in a random direction, (B, 1, 32, 32)."""
    angle = uniform((size, 1, 1), 0.0, 2 * math.pi, generator)
    axis = torch.linspace(-0.5, 0.5, IMAGE_SIZE)
    along = angle.cos() * axis[None, None, :] + angle.sin() * axis[None, :, None]  # (B, 32, 32)
    return (along / math.sqrt(2) + 0.5).unsqueeze(1)


def at_luminance(colour: Tensor, target: Tensor) -> Tensor:
    """Darken a colour towards black, or lighten it towards white, to a given luminance.

    colour   (..., 3)  in [0, 1]
    target   (...)     in [0, 1]
    Returns  (..., 3)  in [0, 1]
    """
    luminance = (colour * torch.tensor(LUMINANCE)).sum(-1, keepdim=True).clamp(1e-3, 1 - 1e-3)
    target = target.unsqueeze(-1)
    darker = colour * (target / luminance)
    lighter = 1 - (1 - colour) * ((1 - target) / (1 - luminance))
    return torch.where(luminance > target, darker, lighter)


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)
