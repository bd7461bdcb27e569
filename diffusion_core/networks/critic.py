"""The critic: a second small network over 32x32 colour images, for searches to descend.

Whoever is measured by a network must not be steered by it. The critic therefore shares nothing with
the judge: other widths, kernels, normalisation and non-linearities, other initial weights, other
renderings. Its features are linear, so that moments describe them well.

What tells classes apart is blind to how an image is drawn, and a search goes where its critic is
blind: to faint colours, to blur, and first of all to grain, which a sampler leaves behind by doing
too little. So half of the features sum up the maps of every depth, and the pixels themselves.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_SHOWN, NUM_DRAWN, NUM_PIXEL = 64, 55, 9  # features: what an image shows, how it is drawn
NUM_FEATURES = NUM_SHOWN + NUM_DRAWN + NUM_PIXEL
WIDTHS = (32, 64, 64, 96)  # channels of each depth
NUM_POOLED = 2 * sum(WIDTHS)
GRAIN_FLOOR = 0.01  # about one level of 8 bits
PIXEL_WEIGHT = 2.0  # of few features among many


class GlyphCritic(nn.Module):
    """forward(images):
    images   (B, 3, 32, 32)  in [-1, 1]
    Returns  (B, K)          logits over the K classes
    """

    def __init__(self, num_classes: int):
        super().__init__()
        first, second, third, fourth = WIDTHS
        self.convolutions = nn.Sequential(
            convolution(3, first, kernel=5, stride=2),  # (B, 32, 16, 16)
            convolution(first, second, kernel=3, stride=2),  # (B, 64, 8, 8)
            convolution(second, third, kernel=3, stride=1),
            convolution(third, fourth, kernel=3, stride=2),  # (B, 96, 4, 4)
        )
        self.project = nn.Linear(fourth * 4 * 4, NUM_SHOWN)
        self.classify = nn.Linear(NUM_SHOWN, num_classes)
        # Principal components of `pooled` over real images, which training/critic.py finds.
        self.register_buffer("pooled_mean", torch.zeros(NUM_POOLED))
        self.register_buffer("components", torch.zeros(NUM_POOLED, NUM_DRAWN))
        # Mean and deviation of `of_pixels` over them.
        self.register_buffer("pixel_mean", torch.zeros(NUM_PIXEL))
        self.register_buffer("pixel_deviation", torch.ones(NUM_PIXEL))
        self.pooled_mean: Tensor
        self.components: Tensor
        self.pixel_mean: Tensor
        self.pixel_deviation: Tensor

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, 128)."""
        maps = self._maps(images)
        drawn = (pooled(maps) - self.pooled_mean) @ self.components
        pixels = PIXEL_WEIGHT * (of_pixels(images) - self.pixel_mean) / self.pixel_deviation
        return torch.cat([self.project(maps[-1].flatten(1)), drawn, pixels], dim=1)

    def pooled(self, images: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, 512): mean and deviation over space of each channel of each depth.

        The features of how an image is drawn are principal components of these.
        """
        return pooled(self._maps(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.read(self.project(self._maps(images)[-1].flatten(1)))

    def read(self, features: Tensor) -> Tensor:
        """Features (B, 64 or more), of which the first 64 say what is shown -> logits (B, K)."""
        logits: Tensor = self.classify(F.gelu(features[:, :NUM_SHOWN]))
        return logits

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps = [images]
        for convolve in self.convolutions:
            maps.append(convolve(maps[-1]))
        return maps[1:]


def pooled(maps: list[Tensor]) -> Tensor:
    """Maps (B, C, H, W) of several depths -> (B, 2 sum C)."""
    epsilon = 1e-6  # the root's derivative is infinite at 0
    moments = [(depth.mean(dim=(2, 3)), (depth.var(dim=(2, 3)) + epsilon).sqrt()) for depth in maps]
    return torch.cat([moment for depth in moments for moment in depth], dim=1)


def of_pixels(images: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 9): of each channel the mean, the deviation, and the grain.

    Grain is the mean logarithm of what is left of a pixel without its surroundings: in the smooth
    parts of a real image next to nothing, so that little noise shows, and few strokes do not.
    """
    surroundings = F.avg_pool2d(images, kernel_size=3, stride=1)
    left = images[:, :, 1:-1, 1:-1] - surroundings
    grain = (left.square() + GRAIN_FLOOR**2).log().mean(dim=(2, 3))
    return torch.cat([images.mean(dim=(2, 3)), images.std(dim=(2, 3)), grain], dim=1)


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2),
        nn.GroupNorm(8, channels_out),
        nn.GELU(),
    )
