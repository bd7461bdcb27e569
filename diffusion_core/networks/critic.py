"""The critic: a second small network over 32x32 colour images, for searches to descend.

Whoever is measured by a network must not be steered by it. The critic therefore shares nothing with
the judge: other widths, kernels, normalisation and non-linearities, other initial weights, other
renderings. Its features are linear, so that moments describe them well.
"""

import torch.nn.functional as F
from torch import Tensor, nn

NUM_FEATURES = 64


class GlyphCritic(nn.Module):
    """forward(images):
    images   (B, 3, 32, 32)  in [-1, 1]
    Returns  (B, K)          logits over the K classes
    """

    def __init__(self, num_classes: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            convolution(3, 32, kernel=5, stride=2),  # (B, 32, 16, 16)
            convolution(32, 64, kernel=3, stride=2),  # (B, 64, 8, 8)
            convolution(64, 64, kernel=3, stride=1),
            convolution(64, 96, kernel=3, stride=2),  # (B, 96, 4, 4)
        )
        self.project = nn.Linear(96 * 4 * 4, NUM_FEATURES)
        self.classify = nn.Linear(NUM_FEATURES, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, 64)."""
        maps: Tensor = self.convolutions(images)
        features: Tensor = self.project(maps.flatten(1))
        return features

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classify(F.gelu(self.features(images)))
        return logits


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2),
        nn.GroupNorm(8, channels_out),
        nn.GELU(),
    )
