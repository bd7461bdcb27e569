"""The Inception network of the FID: the TensorFlow graph of 2015-12-05, in torch.

Parameters are called as in `pt_inception-2015-12-05-6726825d.pth`, the widely used port of its
numbers. Where this graph is not what later papers and libraries call Inception-v3:

* pictures are stretched to 299 x 299 as TensorFlow 1 does it: without half-pixel centres;
* average pools leave the padding out of the average;
* the last block has a max pool where the one before it has an average pool;
* 1008 classes, of which ImageNet's are 1000; batch norm divides by sqrt(variance + 0.001).

    graph      conv … conv_4    mixed … mixed_2   mixed_3  mixed_4 … mixed_7  mixed_8 … mixed_10
    here       Conv2d_1a … 4a   Mixed_5b … 5d     6a       6b … 6e            7a … 7c

Source: Szegedy et al., "Rethinking the Inception architecture" (2016), for the layers; the graph
itself (`classify_image_graph_def.pb`) through github.com/mseitzer/pytorch-fid and
github.com/toshas/torch-fidelity, for the names, for what deviates, and for the table above.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PICTURE_SIZE = 299
NUM_POOL = 2048  # features of a picture as a whole
SPATIAL_CHANNELS, SPATIAL_SIZE = 7, 17
NUM_SPATIAL = SPATIAL_SIZE * SPATIAL_SIZE * SPATIAL_CHANNELS  # 2023
NUM_LOGITS = 1008


class InceptionFeatures(NamedTuple):
    """What one pass sees of B pictures."""

    pool: Tensor  # (B, 2048)  pool_3: the mean over the last map, for FID, precision and recall
    spatial: Tensor  # (B, 2023)  mixed_6/conv, 17 x 17 places x the first 7 channels, for sFID


class InceptionV3(nn.Module):
    """forward(images):
    images   (B, 3, H, W)  uint8, of any size
    Returns  InceptionFeatures, float32

    Source: guided-diffusion's evaluations/evaluator.py for which features count as spatial, and for
    their order: place by place, as TensorFlow lays them out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding="same")
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b = BlockA(192, pooled=32)
        self.Mixed_5c = BlockA(256, pooled=64)
        self.Mixed_5d = BlockA(288, pooled=64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(128)
        self.Mixed_6c = BlockC(160)
        self.Mixed_6d = BlockC(160)
        self.Mixed_6e = BlockC(192)
        self.Mixed_7a = BlockD()
        self.Mixed_7b = BlockE(1280, average_pool)
        self.Mixed_7c = BlockE(2048, max_pool)
        self.fc = nn.Linear(NUM_POOL, NUM_LOGITS)

    def forward(self, images: Tensor) -> InceptionFeatures:
        x = stretched(images.float(), PICTURE_SIZE)
        x = (x - 128) / 128
        x = through(x, self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3)
        x = F.max_pool2d(x, 3, stride=2)  # (B, 64, 73, 73)
        x = through(x, self.Conv2d_3b_1x1, self.Conv2d_4a_3x3)
        x = F.max_pool2d(x, 3, stride=2)  # (B, 192, 35, 35)
        x = through(x, self.Mixed_5b, self.Mixed_5c, self.Mixed_5d, self.Mixed_6a)
        x = through(x, self.Mixed_6b, self.Mixed_6c, self.Mixed_6d)  # (B, 768, 17, 17)
        # mixed_6/conv is the first branch of Mixed_6d, which its output begins with.
        spatial = x[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)
        x = through(x, self.Mixed_6e, self.Mixed_7a, self.Mixed_7b, self.Mixed_7c)
        return InceptionFeatures(x.mean((2, 3)), spatial)  # the mean over 8 x 8 places

    def logits(self, pool: Tensor) -> Tensor:
        """(B, 2048) -> (B, 1008), without the bias that the file also holds.

        Source: guided-diffusion's evaluator, which multiplies by the graph's softmax/weights alone,
        as the first code of the Inception score did.
        """
        return F.linear(pool, self.fc.weight)


class Convolution(nn.Module):
    """Convolution, batch norm by its stored moments, ReLU."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: str = "valid",
    ):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Same(Convolution):
    """A convolution that keeps height and width."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int | tuple[int, int]):
        super().__init__(channels_in, channels_out, kernel, padding="same")


class BlockA(nn.Module):
    """(B, channels_in, 35, 35) -> (B, 224 + pooled, 35, 35)"""

    def __init__(self, channels_in: int, pooled: int):
        super().__init__()
        self.branch1x1 = Same(channels_in, 64, 1)
        self.branch5x5_1 = Same(channels_in, 48, 1)
        self.branch5x5_2 = Same(48, 64, 5)
        self.branch3x3dbl_1 = Same(channels_in, 64, 1)
        self.branch3x3dbl_2 = Same(64, 96, 3)
        self.branch3x3dbl_3 = Same(96, 96, 3)
        self.branch_pool = Same(channels_in, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        branches = (
            self.branch1x1(x),
            through(x, self.branch5x5_1, self.branch5x5_2),
            through(x, self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3),
            self.branch_pool(average_pool(x)),
        )
        return torch.cat(branches, dim=1)


class BlockB(nn.Module):
    """(B, channels_in, 35, 35) -> (B, 480 + channels_in, 17, 17)"""

    def __init__(self, channels_in: int):
        super().__init__()
        self.branch3x3 = Convolution(channels_in, 384, 3, stride=2)
        self.branch3x3dbl_1 = Same(channels_in, 64, 1)
        self.branch3x3dbl_2 = Same(64, 96, 3)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        branches = (
            self.branch3x3(x),
            through(x, self.branch3x3dbl_1, self.branch3x3dbl_2, self.branch3x3dbl_3),
            F.max_pool2d(x, 3, stride=2),
        )
        return torch.cat(branches, dim=1)


class BlockC(nn.Module):
    """(B, 768, 17, 17) -> (B, 768, 17, 17); `narrow` is how many channels its long branches have"""

    def __init__(self, narrow: int):
        super().__init__()
        self.branch1x1 = Same(768, 192, 1)
        self.branch7x7_1 = Same(768, narrow, 1)
        self.branch7x7_2 = Same(narrow, narrow, (1, 7))
        self.branch7x7_3 = Same(narrow, 192, (7, 1))
        self.branch7x7dbl_1 = Same(768, narrow, 1)
        self.branch7x7dbl_2 = Same(narrow, narrow, (7, 1))
        self.branch7x7dbl_3 = Same(narrow, narrow, (1, 7))
        self.branch7x7dbl_4 = Same(narrow, narrow, (7, 1))
        self.branch7x7dbl_5 = Same(narrow, 192, (1, 7))
        self.branch_pool = Same(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = through(x, self.branch7x7dbl_1, self.branch7x7dbl_2, self.branch7x7dbl_3)
        branches = (
            self.branch1x1(x),
            through(x, self.branch7x7_1, self.branch7x7_2, self.branch7x7_3),
            through(double, self.branch7x7dbl_4, self.branch7x7dbl_5),
            self.branch_pool(average_pool(x)),
        )
        return torch.cat(branches, dim=1)


class BlockD(nn.Module):
    """(B, 768, 17, 17) -> (B, 1280, 8, 8)"""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Same(768, 192, 1)
        self.branch3x3_2 = Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Same(768, 192, 1)
        self.branch7x7x3_2 = Same(192, 192, (1, 7))
        self.branch7x7x3_3 = Same(192, 192, (7, 1))
        self.branch7x7x3_4 = Convolution(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        wide = through(x, self.branch7x7x3_1, self.branch7x7x3_2, self.branch7x7x3_3)
        branches = (
            through(x, self.branch3x3_1, self.branch3x3_2),
            self.branch7x7x3_4(wide),
            F.max_pool2d(x, 3, stride=2),
        )
        return torch.cat(branches, dim=1)


class BlockE(nn.Module):
    """(B, channels_in, 8, 8) -> (B, 2048, 8, 8); `pool` is what its last branch begins with"""

    def __init__(self, channels_in: int, pool: Callable[[Tensor], Tensor]):
        super().__init__()
        self.branch1x1 = Same(channels_in, 320, 1)
        self.branch3x3_1 = Same(channels_in, 384, 1)
        self.branch3x3_2a = Same(384, 384, (1, 3))
        self.branch3x3_2b = Same(384, 384, (3, 1))
        self.branch3x3dbl_1 = Same(channels_in, 448, 1)
        self.branch3x3dbl_2 = Same(448, 384, 3)
        self.branch3x3dbl_3a = Same(384, 384, (1, 3))
        self.branch3x3dbl_3b = Same(384, 384, (3, 1))
        self.branch_pool = Same(channels_in, 192, 1)
        self._pool = pool

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = through(x, self.branch3x3dbl_1, self.branch3x3dbl_2)
        branches = (
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self._pool(x)),
        )
        return torch.cat(branches, dim=1)


def through(x: Tensor, *layers: nn.Module) -> Tensor:
    """One layer after the other."""
    for layer in layers:
        x = layer(x)
    return x


def average_pool(x: Tensor) -> Tensor:
    """3 x 3, height and width kept; at an edge, the mean of the places that there are."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def max_pool(x: Tensor) -> Tensor:
    """3 x 3, height and width kept."""
    return F.max_pool2d(x, 3, stride=1, padding=1)


def stretched(images: Tensor, size: int) -> Tensor:
    """(B, C, H, W) float32 -> (B, C, size, size), bilinear.

    Place i reads at i * (old size / size), so the first places agree and the last ones repeat.

    Source: TensorFlow 1's ResizeBilinear with align_corners = half_pixel_centers = false.
    """
    return _stretched(_stretched(images, size, dim=3), size, dim=2)


def _stretched(x: Tensor, size: int, dim: int) -> Tensor:
    length = x.shape[dim]
    place = torch.arange(size, dtype=torch.float32, device=x.device) * (length / size)
    low = place.long()
    high = (low + 1).clamp(max=length - 1)
    share = (place - low).view(-1, *[1] * (x.dim() - 1 - dim))
    below, above = x.index_select(dim, low), x.index_select(dim, high)
    return below + (above - below) * share
