"""The Inception of the FID, against formulas written out and figures published elsewhere.

The whole network was once run beside torch-fidelity's, same random numbers: no feature differed.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diffusion_core.networks.inception import (
    BlockE,
    InceptionV3,
    average_pool,
    max_pool,
    stretched,
)

# As the Inception-v3 paper draws them, and as the graph's tensors are.
SHAPES = {
    "Conv2d_1a_3x3": (32, 149, 149),
    "Conv2d_2a_3x3": (32, 147, 147),
    "Conv2d_2b_3x3": (64, 147, 147),
    "Conv2d_3b_1x1": (80, 73, 73),
    "Conv2d_4a_3x3": (192, 71, 71),
    "Mixed_5b": (256, 35, 35),
    "Mixed_5c": (288, 35, 35),
    "Mixed_5d": (288, 35, 35),
    "Mixed_6a": (768, 17, 17),
    "Mixed_6b": (768, 17, 17),
    "Mixed_6c": (768, 17, 17),
    "Mixed_6d": (768, 17, 17),
    "Mixed_6e": (768, 17, 17),
    "Mixed_7a": (1280, 8, 8),
    "Mixed_7b": (2048, 8, 8),
    "Mixed_7c": (2048, 8, 8),
}


@pytest.fixture(scope="module")
def network() -> InceptionV3:
    torch.manual_seed(0)
    return InceptionV3().eval()


@pytest.fixture
def picture() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, 40, 30), dtype=torch.uint8, generator=generator)


def test_it_has_as_many_parameters_as_others_count(network: InceptionV3) -> None:
    """Keras says 23,851,784 of its Inception-v3: without the batch norms' scales, with their
    moments, and with 1000 classes instead of 1008.
    """
    channels = sum(len(m.weight) for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    of_keras = 23_851_784 - 2 * channels + channels + 8 * (2048 + 1)
    assert sum(p.numel() for p in network.parameters()) == of_keras == 23_850_960


def test_its_tensors_are_called_as_in_the_file(network: InceptionV3) -> None:
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert sum(name.endswith("conv.weight") for name in shapes) == 94
    assert shapes["Conv2d_1a_3x3.conv.weight"] == (32, 3, 3, 3)
    assert shapes["Mixed_5b.branch5x5_2.conv.weight"] == (64, 48, 5, 5)
    assert shapes["Mixed_6b.branch7x7dbl_2.conv.weight"] == (128, 128, 7, 1)
    assert shapes["Mixed_6e.branch7x7_2.conv.weight"] == (192, 192, 1, 7)
    assert shapes["Mixed_7a.branch7x7x3_4.bn.running_var"] == (192,)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["fc.weight"] == (1008, 2048)
    assert shapes["fc.bias"] == (1008,)


def test_every_block_has_the_shape_that_the_graph_has(
    network: InceptionV3, picture: Tensor
) -> None:
    seen: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, inputs, output: seen.update({name: tuple(output.shape[1:])})

    hooks = [network.get_submodule(n).register_forward_hook(note(n)) for n in SHAPES]
    with torch.inference_mode():
        network(picture)
    for hook in hooks:
        hook.remove()
    assert seen == SHAPES


def test_features_are_a_mean_over_places_and_seven_channels_place_by_place(
    network: InceptionV3, picture: Tensor
) -> None:
    kept: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda m, i, output, name=name: kept.update({name: output}))
        for name, module in (
            ("last", network.Mixed_7c),
            ("mixed_6/conv", network.Mixed_6d.branch1x1),
        )
    ]
    with torch.inference_mode():
        features = network(picture)
        logits = network.logits(features.pool)
    for hook in hooks:
        hook.remove()
    expected = kept["last"].double().sum((2, 3)) / 64
    torch.testing.assert_close(features.pool.double(), expected, rtol=1e-5, atol=1e-8)
    assert features.spatial.shape == (1, 2023)
    for y, x, channel in ((0, 0, 0), (0, 1, 2), (16, 16, 6), (5, 11, 3)):
        place = (y * 17 + x) * 7 + channel
        assert features.spatial[0, place] == kept["mixed_6/conv"][0, channel, y, x]
    expected = features.pool.double() @ network.fc.weight.double().T  # no bias
    torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-6)


def test_black_grey_and_white_are_minus_one_zero_and_almost_one(network: InceptionV3) -> None:
    """(level - 128) / 128, as the graph has it; the network sees what a plain colour becomes."""
    seen: list[Tensor] = []
    hook = network.Conv2d_1a_3x3.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(torch.tensor([0, 128, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 9, 9))
    hook.remove()
    for image, level in zip(seen[0], (-1.0, 0.0, 127 / 128), strict=True):
        assert bool((image == level).all())


@pytest.mark.parametrize("size", [(256, 256), (64, 48), (2, 5)])
def test_pictures_are_stretched_as_tensorflow_1_does_it(size: tuple[int, int]) -> None:
    height, width = size
    pictures = np.random.default_rng(0).integers(0, 256, (2, height, width)).astype(np.float32)
    ours = stretched(torch.from_numpy(pictures)[:, None], 299)[:, 0].numpy()
    for y, x in ((0, 0), (0, 298), (298, 0), (298, 298), (17, 230), (150, 149)):
        top, left = y * height / 299, x * width / 299
        above, below = int(top), min(int(top) + 1, height - 1)
        before, after = int(left), min(int(left) + 1, width - 1)
        dy, dx = top - above, left - before
        expected = (
            (1 - dy) * (1 - dx) * pictures[:, above, before]
            + (1 - dy) * dx * pictures[:, above, after]
            + dy * (1 - dx) * pictures[:, below, before]
            + dy * dx * pictures[:, below, after]
        )
        np.testing.assert_allclose(ours[:, y, x], expected, atol=5e-3)


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    picture = torch.randint(0, 256, (1, 3, 299, 299)).float()
    assert torch.equal(stretched(picture, 299), picture)


def test_average_pools_leave_the_padding_out() -> None:
    """Counted as zeros, a corner would be 4/9 of its neighbours."""
    assert torch.equal(average_pool(torch.ones(1, 1, 5, 5)), torch.ones(1, 1, 5, 5))
    ramp = torch.arange(9.0).view(1, 1, 3, 3)
    assert average_pool(ramp)[0, 0].diag().tolist() == [2.0, 4.0, 6.0]


def test_only_the_last_block_pools_by_maximum(network: InceptionV3) -> None:
    ramp = torch.arange(64.0).view(1, 1, 8, 8)
    assert max_pool(ramp)[0, 0, 0, 0] == 9
    last = pooled_by(network.Mixed_7c, ramp), pooled_by(network.Mixed_7b, ramp)
    assert torch.equal(last[0], max_pool(ramp))
    assert torch.equal(last[1], average_pool(ramp))


def pooled_by(block: BlockE, x: Tensor) -> Tensor:
    """What the block's last branch is given, of one channel."""
    seen: list[Tensor] = []
    hook = block.branch_pool.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    channels = block.branch1x1.conv.in_channels
    with torch.inference_mode():
        block(x.expand(1, channels, 8, 8))
    hook.remove()
    return seen[0][:, :1]
