"""The deformable mixing against its definition, in plain PyTorch and in Triton."""

import importlib.util
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion_core.networks import deformable
from diffusion_core.networks.deformable import deformable_mixing
from tests.diffusion_core.networks.deformable_definition import mixing_by_definition

ROOT = Path(__file__).parents[3]
MAPS = [  # B, H, W, G, C, K
    (2, 3, 4, 2, 3, 4),
    (1, 1, 5, 3, 1, 2),
    (1, 4, 4, 1, 18, 9),
]


def random_inputs(b: int, h: int, w: int, g: int, c: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places all over the map and up to three positions around it."""
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(b, h, w, g, c, dtype=torch.float64, generator=generator)
    weight = torch.randn(b, h, w, g, k, dtype=torch.float64, generator=generator)
    place = torch.rand(b, h, w, g, k, 2, dtype=torch.float64, generator=generator)
    place = place * (torch.tensor([w, h]) + 6) - 3
    return value, place - own_position(h, w), weight


def own_position(h: int, w: int) -> Tensor:
    """(H, W, 1, 1, 2): x, then y."""
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([columns, rows], dim=-1)[:, :, None, None]


def read_once(x: float, y: float) -> Tensor:
    """(3, 3): what a single place of weight 1 takes of every position of a 3x3 map."""
    value = torch.eye(9, dtype=torch.float64).view(1, 3, 3, 1, 9)
    place = torch.tensor([x, y], dtype=torch.float64).view(1, 1, 1, 1, 1, 2)
    weight = torch.ones(1, 3, 3, 1, 1, dtype=torch.float64)
    out = deformable_mixing(value, place - own_position(3, 3), weight)
    assert torch.allclose(out, out[:, :1, :1])  # all positions read the same place
    return out[0, 0, 0, 0].view(3, 3)


@pytest.mark.parametrize("sizes", MAPS)
def test_it_is_what_its_definition_says(sizes: tuple[int, ...]) -> None:
    inputs = random_inputs(*sizes)
    expected = mixing_by_definition(*inputs)
    torch.testing.assert_close(deformable_mixing(*inputs), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("x", "shares"),
    [
        (1.0, (0.0, 1.0, 0.0)),
        (1.25, (0.0, 0.75, 0.25)),
        (-0.3, (1.3, -0.3, 0.0)),  # x0 = 0: it extrapolates
        (-0.999, (1.999, -0.999, 0.0)),
        (-1.001, (-0.001, 0.0, 0.0)),  # x0 = -1: the other share falls outside, and so it jumps
        (-1.4, (-0.4, 0.0, 0.0)),
        (-2.1, (0.0, 0.0, 0.0)),
        (2.4, (0.0, 0.0, 0.6)),
        (3.0, (0.0, 0.0, 0.0)),
        (-1e9, (0.0, 0.0, 0.0)),
        (1e9, (0.0, 0.0, 0.0)),
    ],
)
def test_a_place_takes_these_shares_of_columns_and_rows(
    x: float, shares: tuple[float, float, float]
) -> None:
    along = torch.tensor(shares, dtype=torch.float64)
    nowhere = torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close(read_once(x, 2.0), torch.stack([nowhere, nowhere, along]))
    torch.testing.assert_close(read_once(2.0, x), torch.stack([nowhere, nowhere, along]).T)


def test_bilinear_sampling_is_the_same_inside_of_the_map_and_another_thing_around_it() -> None:
    """grid_sample rounds down: it is no stand-in where a position reads beyond the edge."""
    value, offset, weight = random_inputs(2, 3, 4, 2, 3, 4)
    inside = (offset + own_position(3, 4)).clamp(min=0) - own_position(3, 4)
    torch.testing.assert_close(
        deformable_mixing(value, inside, weight), bilinear(value, inside, weight)
    )
    ours, theirs = deformable_mixing(value, offset, weight), bilinear(value, offset, weight)
    torch.testing.assert_close(theirs, mixing_by_definition(value, offset, weight, math.floor))
    assert 0.5 < (ours - theirs).norm() / ours.norm() < 2.0


def bilinear(value: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """The mixing of torch's own bilinear samples."""
    b, h, w, g, c = value.shape
    k = weight.shape[-1]
    place = (offset + own_position(h, w)) / (torch.tensor([w, h]) - 1) * 2 - 1
    samples = F.grid_sample(
        value.permute(0, 3, 4, 1, 2).reshape(b * g, c, h, w),
        place.permute(0, 3, 1, 2, 4, 5).reshape(b * g, h, w * k, 2),
        align_corners=True,
    )  # (B * G, C, H, W * K)
    return torch.einsum("bgchwk,bhwgk->bhwgc", samples.view(b, g, c, h, w, k), weight)


@pytest.mark.parametrize("entries", [1, 2**19], ids=["map by map", "all at once"])
def test_gradients_are_those_of_finite_differences(
    monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    monkeypatch.setattr(deformable, "MATRIX_ENTRIES_CPU", entries)
    value, offset, weight = random_inputs(2, 2, 3, 1, 2, 1)
    place = offset + own_position(2, 3)
    # Between whole numbers: at them it is not smooth.
    offset = place.floor() + 0.1 + 0.8 * (place - place.floor()) - own_position(2, 3)
    inputs = [tensor.requires_grad_() for tensor in (value, offset, weight)]
    assert torch.autograd.gradcheck(deformable_mixing, inputs)


def test_bfloat16_is_summed_in_float32() -> None:
    value, offset, weight = (tensor.bfloat16() for tensor in random_inputs(*MAPS[-1]))
    out = deformable_mixing(value, offset, weight)
    assert out.dtype is torch.bfloat16
    expected = mixing_by_definition(value, offset, weight).bfloat16()
    torch.testing.assert_close(out, expected, rtol=2**-7, atol=1e-4)


def test_a_place_that_is_not_a_number_stays_with_its_own_image() -> None:
    value, offset, weight = random_inputs(3, 3, 4, 2, 3, 4)
    expected = deformable_mixing(value, offset, weight)
    offset[1, 2, 3] = math.nan
    inputs = [tensor.requires_grad_() for tensor in (value, offset, weight)]
    out = deformable_mixing(*inputs)
    assert out[1, 2, 3].isnan().all()
    torch.testing.assert_close(out[[0, 2]], expected[[0, 2]], rtol=0, atol=0)
    for gradient in torch.autograd.grad(out.sum(), inputs):
        assert gradient[[0, 2]].isfinite().all()


def with_gradients(mixing: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    out = mixing(*leaves)
    return [out.detach(), *torch.autograd.grad(out.square().sum(), leaves)]


@pytest.fixture
def untried() -> Iterator[None]:
    """No kernel was tried before, and none is remembered after."""
    deformable.mixing_on.cache_clear()
    yield
    deformable.mixing_on.cache_clear()


@pytest.mark.usefixtures("untried")
def test_where_the_kernel_cannot_be_built_the_plain_sum_takes_its_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[tuple[int, ...]] = []

    def unbuilt(value: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
        tries.append(tuple(value.shape))
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(deformable, "triton_mixing", lambda: unbuilt)
    for _ in range(3):
        assert deformable.mixing_on(torch.device("cpu")) is deformable.plain_mixing
    assert tries == [(1, 1, 1, 1, 1)]
    [record] = caplog.records
    assert "Failed to find C compiler" in record.getMessage()


@pytest.mark.usefixtures("untried")
def test_a_kernel_that_runs_is_taken_and_tried_on_what_it_mixes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kernel(*inputs: Tensor) -> Tensor:
        return mixing_by_definition(*inputs)

    monkeypatch.setattr(deformable, "triton_mixing", lambda: kernel)
    assert deformable.mixing_on(torch.device("cpu")) is kernel


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
    ],
    ids=["torch's", "Triton's"],
)
def test_memory_that_runs_out_does_not_speak_against_the_kernel(
    monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    errors = [error]

    def kernel(*inputs: Tensor) -> Tensor:
        if errors:
            raise errors.pop()
        return mixing_by_definition(*inputs)

    monkeypatch.setattr(deformable, "triton_mixing", lambda: kernel)
    with pytest.raises(type(error), match="out of memory"):
        deformable.mixing_on(torch.device("cpu"))
    assert deformable.mixing_on(torch.device("cpu")) is kernel


INTERPRETED = """
import sys, torch
from diffusion_core.networks.deformable_triton import fused_mixing
from tests.diffusion_core.networks.test_deformable import with_gradients
torch.save([with_gradients(fused_mixing, inputs) for inputs in torch.load("inputs.pt")], "out.pt")
"""


@pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="Triton is not installed: it comes with PyTorch for CUDA",
)
def test_the_triton_kernel_is_the_same_under_its_interpreter(tmp_path: Path) -> None:
    """In a process of its own: whether to interpret is settled when Triton is imported."""
    maps = [[tensor.float() for tensor in random_inputs(*sizes)] for sizes in MAPS]
    torch.save(maps, tmp_path / "inputs.pt")
    subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        cwd=tmp_path,
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)},
        check=True,
    )
    for inputs, out in zip(maps, torch.load(tmp_path / "out.pt"), strict=True):
        expected = with_gradients(deformable_mixing, inputs)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("sizes", [*MAPS, (3, 16, 16, 16, 72, 9), (2, 32, 32, 6, 64, 9)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_the_gpu_mixes_by_its_kernel_as_the_cpu_does(
    sizes: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    assert deformable.mixing_on(device) is deformable.triton_mixing()
    inputs = [tensor.to(dtype) for tensor in random_inputs(*sizes)]
    expected = with_gradients(deformable_mixing, inputs)
    out = with_gradients(deformable_mixing, [tensor.to(device) for tensor in inputs])
    found = [tensor.cpu() for tensor in out]
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
