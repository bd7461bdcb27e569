"""FlowDCN against the same network written out in another way, and against what is published."""

import math

import pytest
import torch
from torch import Tensor

from diffusion_core.networks.flowdcn import FlowDCN, FlowDCNConfig
from tests.diffusion_core.networks.deformable_definition import mixing_by_definition

CONFIG = FlowDCNConfig(
    input_size=8, patch_size=2, in_channels=3, hidden_size=12, depth=2, num_groups=3,
    num_classes=10, learn_sigma=True,
)  # fmt: skip


def randomised(network: FlowDCN) -> FlowDCN:
    """A fresh FlowDCN answers zero: every parameter must be moved."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        if not name.endswith("deformables_prior"):
            parameter.data.normal_(std=0.4, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def flowdcn() -> FlowDCN:
    return randomised(FlowDCN(CONFIG))


def batch(size: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(size, 3, 8, 8, generator=generator, dtype=dtype)
    return x, torch.linspace(0, 1, size), torch.tensor([3, 10, 0, 7])[:size]


def linear(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    out = x @ weights[f"{name}.weight"].T
    return out + weights[f"{name}.bias"] if f"{name}.bias" in weights else out


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return weight * x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6)


def written_out(
    weights: dict[str, Tensor], x: Tensor, time: Tensor, class_label: Tensor, num_groups: int
) -> Tensor:
    """The published FlowDCN with patches of 2x2: maps stay (B, H, W, D) from end to end."""
    b, c, h, w = x.shape
    h, w = h // 2, w // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(128) / 128)
    angles = (time[:, None] * frequencies).double()
    waves = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)
    embedded_time = linear(
        weights, "t_embedder.mlp.2", silu(linear(weights, "t_embedder.mlp.0", waves))
    )
    condition = silu(embedded_time + weights["y_embedder.embedding_table.weight"][class_label])
    patches = x.view(b, c, h, 2, w, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h, w, 4 * c)
    projection = weights["x_embedder.proj.weight"].flatten(1)
    tokens = patches @ projection.T + weights["x_embedder.proj.bias"]
    for d in range(CONFIG.depth):
        block = {
            name.removeprefix(f"blocks.{d}."): weight
            for name, weight in weights.items()
            if name.startswith(f"blocks.{d}.")
        }
        modulation = linear(block, "adaLN_modulation.1", condition)[:, None, None]
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = modulation.chunk(6, dim=-1)
        seen = rms_norm(tokens, block["norm1.weight"]) * (1 + scale) + shift
        tokens = tokens + gate * deformable_convolution(block, seen, num_groups)
        seen = rms_norm(tokens, block["norm2.weight"]) * (1 + scale_mlp) + shift_mlp
        inner = silu(linear(block, "mlp.w1", seen)) * linear(block, "mlp.w3", seen)
        tokens = tokens + gate_mlp * linear(block, "mlp.w2", inner)
    modulation = linear(weights, "final_layer.adaLN_modulation.1", condition)[:, None, None]
    shift, scale = modulation.chunk(2, dim=-1)
    centred = tokens - tokens.mean(-1, keepdim=True)
    normed = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-6)
    out = linear(weights, "final_layer.linear", normed * (1 + scale) + shift)
    out = out.view(b, h, w, 2, 2, 2 * c).permute(0, 5, 1, 3, 2, 4).reshape(b, 2 * c, 2 * h, 2 * w)
    return out[:, :c]


def deformable_convolution(block: dict[str, Tensor], x: Tensor, num_groups: int) -> Tensor:
    """(B, H, W, D) -> (B, H, W, D)."""
    sizes = (*x.shape[:3], num_groups)
    grid = torch.tensor([[x, y] for y in (-1, 0, 1) for x in (-1, 0, 1)])
    scale = linear(block, "attn.qk_scales", x).view(*sizes, 9, 1) + block["attn.deformables_scale"]
    offset = linear(block, "attn.qk_deformables", x).view(*sizes, 9, 2) + grid
    mixed = mixing_by_definition(
        linear(block, "attn.v", x).view(*sizes, -1),
        offset * 6 / (1 + torch.exp(-scale)),
        linear(block, "attn.qk_weights", x).view(*sizes, 9),
    )
    return linear(block, "attn.out", mixed.view(x.shape))


def test_flowdcn_equals_the_written_out_network(flowdcn: FlowDCN) -> None:
    double = FlowDCN(CONFIG).double().eval()
    double.load_state_dict(flowdcn.state_dict())
    x, time, label = batch(2, torch.float64)
    with torch.inference_mode():
        expected = written_out(double.state_dict(), x, time, label, CONFIG.num_groups)
        assert expected.std() > 0.1
        torch.testing.assert_close(double(x, time, label), expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(
            flowdcn(x.float(), time, label), expected.float(), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    ("hidden_size", "depth", "num_groups", "num_parameters"),
    [
        pytest.param(384, 12, 6, 30_300_632, id="S"),
        pytest.param(768, 12, 12, 120_099_512, id="B"),
        pytest.param(1024, 24, 16, 421_503_952, id="L"),
        pytest.param(1152, 28, 16, 618_948_120, id="XL"),
    ],
)
def test_the_published_sizes_have_the_published_number_of_parameters(
    hidden_size: int, depth: int, num_groups: int, num_parameters: int
) -> None:
    config = FlowDCNConfig(32, 2, 4, hidden_size, depth, num_groups, 1000, learn_sigma=True)
    with torch.device("meta"):
        network = FlowDCN(config)
    assert sum(parameter.numel() for parameter in network.parameters()) == num_parameters


def test_parameters_have_the_official_names_shapes_and_order() -> None:
    """The order too: published averages of the weights are lists without names."""
    d, groups = 12, 3
    expected = {
        "x_embedder.proj.weight": (d, 3, 2, 2),
        "x_embedder.proj.bias": (d,),
        "t_embedder.mlp.0.weight": (d, 256),
        "t_embedder.mlp.0.bias": (d,),
        "t_embedder.mlp.2.weight": (d, d),
        "t_embedder.mlp.2.bias": (d,),
        "y_embedder.embedding_table.weight": (11, d),
        "final_layer.linear.weight": (2 * 2 * 6, d),
        "final_layer.linear.bias": (2 * 2 * 6,),
        "final_layer.adaLN_modulation.1.weight": (2 * d, d),
        "final_layer.adaLN_modulation.1.bias": (2 * d,),
    }
    block = {
        "norm1.weight": (d,),
        "attn.deformables_prior": (1, 1, 1, 1, 9, 2),
        "attn.deformables_scale": (1, 1, 1, groups, 1, 1),
        "attn.v.weight": (d, d),
        "attn.v.bias": (d,),
        "attn.qk_deformables.weight": (groups * 9 * 2, d),
        "attn.qk_deformables.bias": (groups * 9 * 2,),
        "attn.qk_scales.weight": (groups * 9, d),
        "attn.qk_weights.weight": (groups * 9, d),
        "attn.qk_weights.bias": (groups * 9,),
        "attn.out.weight": (d, d),
        "attn.out.bias": (d,),
        "norm2.weight": (d,),
        "mlp.w1.weight": (32, d),  # 2 / 3 of 4 x 12
        "mlp.w3.weight": (32, d),
        "mlp.w2.weight": (d, 32),
        "adaLN_modulation.1.weight": (6 * d, d),
        "adaLN_modulation.1.bias": (6 * d,),
    }
    for number in range(CONFIG.depth):
        expected |= {f"blocks.{number}.{name}": shape for name, shape in block.items()}
    network = FlowDCN(CONFIG)
    shapes = [(name, tuple(parameter.shape)) for name, parameter in network.named_parameters()]
    assert shapes == list(expected.items())
    assert list(network.state_dict()) == list(expected)


def test_a_fresh_network_answers_zero() -> None:
    assert FlowDCN(CONFIG)(*batch(2)).abs().max() == 0


def test_fresh_groups_read_grids_of_growing_reach() -> None:
    attn = FlowDCN(CONFIG).blocks[0].attn
    assert attn.deformables_prior[0, 0, 0, 0].tolist() == [
        [-1, -1], [0, -1], [1, -1],
        [-1, 0], [0, 0], [1, 0],
        [-1, 1], [0, 1], [1, 1],
    ]  # fmt: skip
    reach = torch.sigmoid(attn.deformables_scale.flatten())
    torch.testing.assert_close(reach, torch.tensor([1 / 3, 2 / 3, 1.0]) - 1e-4)
    moved = [name for name, p in attn.named_parameters() if p.requires_grad and p.any()]
    assert moved == ["deformables_scale", "v.weight", "qk_weights.bias", "out.weight"]


def test_rows_do_not_mix(flowdcn: FlowDCN) -> None:
    x, time, label = batch(4)
    with torch.inference_mode():
        together = flowdcn(x, time, label)
        for row in range(4):
            alone = flowdcn(x[row : row + 1], time[row : row + 1], label[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-4)


def test_it_learns_in_every_parameter_but_the_prior(flowdcn: FlowDCN) -> None:
    x, time, label = batch(4)
    x.requires_grad_()
    parameters = {name: p for name, p in flowdcn.named_parameters() if p.requires_grad}
    prior = {name for name, p in flowdcn.named_parameters() if not p.requires_grad}
    assert prior == {f"blocks.{number}.attn.deformables_prior" for number in (0, 1)}
    loss = flowdcn(x, time, label).square().sum()
    for gradient in torch.autograd.grad(loss, [x, *parameters.values()]):
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0


def test_bfloat16_weights_keep_the_time_in_float32(flowdcn: FlowDCN) -> None:
    """782.6 and 784 are the same number in bfloat16, but not the same time."""
    half = FlowDCN(CONFIG)
    half.load_state_dict(flowdcn.state_dict())
    half = half.to(torch.bfloat16).eval()
    x, _, label = batch(1)
    with torch.inference_mode():
        first = half(x, torch.tensor([782.6]), label)
        second = half(x, torch.tensor([784.0]), label)
    assert first.isfinite().all()
    assert not torch.equal(first, second)


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size 30"):
        FlowDCN(FlowDCNConfig(8, 2, 4, 30, 1, 4, 10))
