"""The judge of generated glyphs: a small convolutional network over 32x32 colour images.

Its logits give the class accuracy of samples, its features the Fréchet distance between samples and
real images. It has no part in training or steering the generator that it judges.
"""

import torch.nn.functional as F
from torch import Tensor, nn

NUM_FEATURES = 128
WIDTHS = (24, 48, 96, 96)  # channels at 32x32, 16x16, 8x8 and 4x4


class GlyphClassifier(nn.Module):
    """forward(images):
    images   (B, 3, 32, 32)  in [-1, 1]
    Returns  (B, K)          logits over the K classes
    """

    num_features = NUM_FEATURES

    def __init__(self, num_classes: int):
        super().__init__()
        first, second, third, last = WIDTHS
        self.convolutions = nn.Sequential(
            convolution(3, first, stride=1),
            convolution(first, second, stride=2),
            convolution(second, second, stride=1),
            convolution(second, third, stride=2),
            convolution(third, third, stride=1),
            convolution(third, last, stride=2),
        )
        self.project = nn.Linear(last * 4 * 4, NUM_FEATURES)
        self.classify = nn.Linear(NUM_FEATURES, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, 128): what the Fréchet distance compares."""
        maps: Tensor = self.convolutions(images)  # (B, 96, 4, 4)
        return F.relu(self.project(maps.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.features(images))
        return logits


def convolution(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )
