"""Activations: how many there are, and that a part of them is enough for all gradients."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from diffusion_core.card import DiTArchitecture, FlowDCNArchitecture
from diffusion_core.classic import classical_table
from diffusion_core.coefficients import Coefficients
from diffusion_core.model import load_model
from search_jobs.search import Problem, activations, problem
from search_jobs.search.activations import InParts, activation_bytes, rematerialised
from search_jobs.search.objectives import sample_of
from tests.diffusion_core.conversion.small import trained
from tests.fakes import write_tiny_model
from tests.search_jobs.search.toys import RECTIFIED_FLOW, SHAPE, GaussianVelocity, gaussian_problem

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
LATENT = (4, 8, 8)
SIZES = {
    "input_size": 8, "patch_size": 2, "in_channels": 4, "hidden_size": 32, "num_classes": 10,
}  # fmt: skip


def architecture(name: str, depth: int = 2):
    if name == "dit":
        return DiTArchitecture(network="dit", num_heads=2, depth=depth, **SIZES)
    return FlowDCNArchitecture(network="flowdcn", num_groups=2, depth=depth, **SIZES)


each_network = pytest.mark.parametrize("name", ["dit", "flowdcn"])


def gradients(network, problem: Problem) -> list[Tensor]:
    """Of three guided steps, with respect to times and weights."""
    table = Coefficients.from_table(classical_table("ab2", "rectified-flow", 3))
    numbers = [table.node_times, table.weights]
    for number in numbers:
        number.requires_grad_()
    sample_of(problem, table, network, range(5)).square().sum().backward()
    return [number.grad for number in numbers]


@each_network
@pytest.mark.parametrize("rows", [1, 3, None])
def test_gradients_by_parts_of_the_rows_are_those_of_all(name, rows) -> None:
    network = trained(architecture(name)).requires_grad_(False)
    guided = Problem(network, RECTIFIED_FLOW, LATENT, 10, guidance_scale=2.0, null_class=10)
    plain = gradients(network, guided)
    for found, wanted in zip(gradients(rematerialised(network, rows), guided), plain, strict=True):
        assert (found - wanted).norm() < 1e-5 * wanted.norm()


def test_the_same_parts_give_the_same_gradients_to_the_last_digit() -> None:
    network = trained(architecture("dit")).requires_grad_(False)
    guided = Problem(network, RECTIFIED_FLOW, LATENT, 10, guidance_scale=2.0, null_class=10)
    first, again = (gradients(rematerialised(network, 3), guided) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))


class Counting(GaussianVelocity):
    """Remembers how many rows it was asked at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def __call__(self, x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
        self.asked.append(len(x))
        return super().__call__(x, time, class_label)


def test_every_row_is_computed_again_once_and_in_its_part() -> None:
    network = Counting()
    gradients(rematerialised(network, 2), gaussian_problem(network=network))
    assert network.asked[: 3 * 3] == 3 * [2, 2, 1], "three steps forward"
    assert sorted(network.asked[3 * 3 :]) == sorted(3 * [2, 2, 1]), "and each once more"


def test_rows_that_fit_together_are_asked_together() -> None:
    network = Counting()
    x = torch.randn(5, *SHAPE)
    arguments = (x, torch.rand(5), torch.zeros(5, dtype=torch.int64))
    whole = network(*arguments)
    for rows, asked in ((5, [5]), (8, [5]), (2, [2, 2, 1])):
        network.asked.clear()
        assert torch.equal(InParts(network, rows)(*arguments), whole)
        assert network.asked == asked


class SineOfExponential(nn.Module):
    """Keeps one tensor of the latent's size, for both derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(SHAPE), requires_grad=False)

    def forward(self, x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
        return x.mul(self.factor).exp().sin()


def test_what_is_kept_for_two_reasons_counts_once_and_weights_do_not_count() -> None:
    assert activation_bytes(SineOfExponential(), SHAPE, CPU) == 4 * 3 * 4 * 4


@each_network
def test_every_block_keeps_as_much(name) -> None:
    one, two, three = (
        activation_bytes(trained(architecture(name, depth)).requires_grad_(False), LATENT, CPU)
        for depth in (1, 2, 3)
    )
    assert three - two == two - one > 0
    assert one > two - one, "a block of many holds no more than its share of them all"


def test_the_network_of_a_model_is_asked_as_many_rows_as_fit_into_a_part(
    tmp_path, monkeypatch
) -> None:
    model = load_model(write_tiny_model(tmp_path), CPU)
    whole = Problem.of_model(model, 1.5)
    assert whole.row_bytes == activation_bytes(model.network, (3, 8, 8), CPU) > 0
    assert whole.network.rows > 10_000
    # Three rows and a half; its depth is 1.
    part_bytes = 7 * whole.row_bytes // 2
    for module in (activations, problem):
        monkeypatch.setattr(module, "PART_BYTES", part_bytes)
    small = Problem.of_model(model, 1.5)
    assert (small.network.rows, small.rows_in_part) == (3, 3)
    noise, labels = small.draw(range(8))
    time = torch.rand(8)
    torch.testing.assert_close(
        small.network(noise, time, labels), model.network(noise, time, labels)
    )
    assert small.meaning == whole.meaning


PEAK = """
import sys, torch
from diffusion_core.card import DiTArchitecture
from search_jobs.search.activations import rematerialised
rows, rows_in_part, steps = int(sys.argv[1]), int(sys.argv[2]), 2
sizes = dict(input_size=32, patch_size=2, in_channels=4, hidden_size=128, depth=12, num_classes=9)
network = DiTArchitecture(network="dit", num_heads=2, **sizes).build().requires_grad_(False)
torch.set_num_threads(1)
x, labels = torch.randn(rows, 4, 32, 32), torch.zeros(rows, dtype=torch.int64)
rate = torch.ones(steps, requires_grad=True)
def held():
    # Not by getrusage: what it tells begins with the memory of whoever started this process.
    lines = open("/proc/self/status").read().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
again = rematerialised(network, rows_in_part)
with torch.no_grad():
    network(x[:rows_in_part], torch.rand(rows_in_part), labels[:rows_in_part])
before = held()
for n in range(steps):
    x = x + rate[n] * again(x, rate[n].expand(rows), labels)
x.sum().backward()
print(held() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its peak")
def test_a_backward_pass_holds_no_more_than_a_part() -> None:
    """16 rows of 12 blocks keep 350 MB, a part of two rows an eighth of it."""

    def peak(rows_in_part: int) -> int:
        command = [sys.executable, "-c", PEAK, "16", str(rows_in_part)]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)

    assert peak(2) < peak(16) / 3
