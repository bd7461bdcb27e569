"""Packed linear layers: what they compute and pass back is what plain ones do, in float64."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from diffusion_core.card import DiTArchitecture, FlowDCNArchitecture
from diffusion_core.host import give_back_freed_memory
from diffusion_core.model import load_model
from diffusion_core.networks.blank import blank
from diffusion_core.networks.layers import ActivatedLinear
from diffusion_core.networks.packed import PackedLinear, can_pack, pack_linear_layers
from diffusion_core.tensors import load_tensors
from tests.diffusion_core.conversion.small import trained
from tests.fakes import write_tiny_model

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(
    not can_pack(CPU, torch.float32), reason="this processor multiplies by torch's own layers"
)
needs_bfloat16 = pytest.mark.skipif(
    not can_pack(CPU, torch.bfloat16), reason="no bfloat16 on this processor"
)
SIZES = {
    "input_size": 8, "patch_size": 2, "in_channels": 4, "hidden_size": 32, "depth": 2,
    "num_classes": 10,
}  # fmt: skip
ARCHITECTURES = {
    "dit": DiTArchitecture(network="dit", num_heads=2, **SIZES),
    "flowdcn": FlowDCNArchitecture(network="flowdcn", num_groups=2, **SIZES),
}
each_network = pytest.mark.parametrize("name", ARCHITECTURES)


def packed(name: str) -> tuple[nn.Module, nn.Module]:
    """A network as it is served, and the same in float64 without any packing."""
    network = trained(ARCHITECTURES[name]).requires_grad_(False)
    exact = deepcopy(network).double()
    pack_linear_layers(network, torch.float32)
    return network, exact


def asked(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    return x.to(dtype), torch.tensor([0.3, 0.9, 0.0]), torch.tensor([7, 10, 0])


@each_network
def test_a_packed_network_answers_as_the_plain_one_in_float64(name) -> None:
    network, exact = packed(name)
    with torch.inference_mode():
        found, wanted = network(*asked()), exact(*asked(torch.float64))
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)


@each_network
def test_gradients_pass_through_a_packed_network_as_through_the_plain_one(name) -> None:
    network, exact = packed(name)
    gradients = []
    for candidate, dtype in ((network, torch.float32), (exact, torch.float64)):
        x, time, label = asked(dtype)
        candidate(x.requires_grad_(), time, label).square().sum().backward()
        gradients.append(x.grad.double())
    found, wanted = gradients
    assert (found - wanted).norm() < 1e-5 * wanted.norm()


@each_network
def test_every_linear_layer_is_packed_and_keeps_its_name_and_shape(name) -> None:
    network, exact = packed(name)
    assert not any(isinstance(module, nn.Linear) for module in network.modules())
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    assert shapes == {key: value.shape for key, value in exact.state_dict().items()}


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("activation", [None, "gelu", "silu"])
@pytest.mark.parametrize("shape", [(1, 24), (5, 24), (2, 3, 24)])
def test_a_packed_layer_equals_the_plain_one(shape, activation, bias) -> None:
    layer = layer_of(activation, bias)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    exact = deepcopy(layer).double()(x.double())
    torch.testing.assert_close(
        PackedLinear(layer, torch.float32)(x).double(), exact, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("activation", [None, "gelu", "silu"])
def test_a_packed_layer_passes_gradients_whose_memory_is_strided(activation) -> None:
    layer = layer_of(activation, bias=True)
    x = torch.randn(7, 24, dtype=torch.float64, requires_grad=True)
    deepcopy(layer).double()(x).T.cumsum(0).square().sum().backward()
    single = x.detach().float().requires_grad_()
    PackedLinear(layer, torch.float32)(single).T.cumsum(0).square().sum().backward()
    torch.testing.assert_close(single.grad.double(), x.grad, rtol=1e-4, atol=1e-3)


def test_a_packed_layer_reads_strided_memory() -> None:
    layer = layer_of(None, bias=True)
    x = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        PackedLinear(layer, torch.float32)(x.T), layer(x.T), rtol=1e-5, atol=1e-6
    )


@needs_bfloat16
@pytest.mark.parametrize("activation", [None, "gelu", "silu"])
def test_in_bfloat16_a_packed_layer_rounds_no_more_than_the_plain_one(activation) -> None:
    layer = layer_of(activation, bias=True)
    x = torch.randn(64, 24, generator=torch.Generator().manual_seed(0)).bfloat16()
    half = layer.bfloat16()
    exact = deepcopy(half).double()(x.double())
    plain_error = (half(x).double() - exact).norm()
    assert (PackedLinear(half, torch.bfloat16)(x).double() - exact).norm() <= 1.05 * plain_error


def test_what_has_no_such_operators_stays_as_it_is(tmp_path, monkeypatch) -> None:
    assert not can_pack(CPU, torch.float64)
    assert not can_pack(torch.device("cuda"), torch.float32)
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    network = load_model(write_tiny_model(tmp_path), CPU).network
    assert type(network.final_layer.linear) is nn.Linear


@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bfloat16)]
)
def test_a_model_is_packed_where_it_is_loaded_on_a_cpu(tmp_path, dtype) -> None:
    model = load_model(write_tiny_model(tmp_path), CPU, dtype)
    assert any(isinstance(module, PackedLinear) for module in model.network.modules())
    tensors = model.network.state_dict().values()
    assert {tensor.dtype for tensor in tensors} == {dtype}
    assert model.num_bytes == sum(dtype.itemsize * tensor.numel() for tensor in tensors)


def test_nothing_of_a_loaded_model_is_left_in_its_file(tmp_path) -> None:
    """A single tensor in the mapped file would keep all of it in the memory."""
    folder = write_tiny_model(tmp_path)
    network = load_model(folder, CPU).network
    mapped = Path("/proc/self/maps")
    if not mapped.exists():
        pytest.skip("this system does not tell")
    assert str(folder.path / folder.card.weights) not in mapped.read_text()
    assert network.final_layer.linear.weight.dtype == torch.float32


def test_packed_weights_count_as_taken_and_those_of_a_file_do_not(tmp_path) -> None:
    # So that the room for the next model is what is really left (diffusion_core/memory.py).
    if not STATUS.exists():
        pytest.skip("this system does not tell")
    save_file({"weight": torch.ones(4096, 4096)}, tmp_path / "weights.safetensors")
    with blank():
        network = nn.Sequential(nn.Linear(4096, 4096, bias=False))
    give_back_freed_memory()  # or what is taken may be what was freed
    before = own_bytes()
    network[0].load_state_dict(load_tensors(tmp_path / "weights.safetensors"), assign=True)
    mapped = own_bytes() - before
    pack_linear_layers(network, torch.float32)
    packed = own_bytes() - before
    assert mapped < 2**20
    assert packed == pytest.approx(4 * 4096**2, rel=0.1)


STATUS = Path("/proc/self/status")


def own_bytes() -> int:
    """Of this process, in no file."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def layer_of(activation, bias: bool) -> nn.Linear:
    torch.manual_seed(3)
    if activation is None:
        return nn.Linear(24, 40, bias=bias).requires_grad_(False)
    return ActivatedLinear(24, 40, activation, bias=bias).requires_grad_(False)
