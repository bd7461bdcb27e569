"""Programs, the update and the sampling loop against closed forms and a plain transcription."""

import pytest
import torch
from torch import Tensor

from diffusion_core.coefficients import Coefficients
from diffusion_core.errors import TableMismatch
from diffusion_core.program import (
    Guidance,
    NetworkKind,
    compile_program,
    guide,
    predict,
    sample,
    update,
)
from solver_store.table import Prediction, SolverTable

FLOW = NetworkKind("rectified-flow", Prediction.VELOCITY)


def random_table(nfe: int, prediction: Prediction = Prediction.VELOCITY) -> SolverTable:
    """A table with every weight of the lower triangle in use."""
    generator = torch.Generator().manual_seed(nfe)
    times = torch.rand(nfe + 1, generator=generator, dtype=torch.float64).sort().values.tolist()
    weights = (torch.randn(nfe, nfe, generator=generator, dtype=torch.float64) / nfe).tolist()
    carry = (1 + 0.1 * torch.randn(nfe, generator=generator, dtype=torch.float64)).tolist()
    rows = tuple(tuple(row[: n + 1]) for n, row in enumerate(weights))
    return SolverTable(
        "rectified-flow", prediction, tuple(times[:-1]), tuple(times), tuple(carry), rows
    )


def swirl(x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
    """A nonlinear velocity field that depends on all three arguments."""
    return torch.sin(2 * x + time.view(-1, 1, 1, 1)) + 0.1 * class_label.view(-1, 1, 1, 1)


def transcribed(table: SolverTable, x: Tensor, label: Tensor) -> Tensor:
    """The table's definition, word for word, in float64."""
    u: list[Tensor] = []
    x = x.double()
    for n in range(table.nfe):
        u.append(swirl(x, torch.full((len(x),), table.node_times[n]).double(), label))
        row = table.weights[n]
        x = table.carry[n] * x + sum(row[k] * u[n + 1 - len(row) + k] for k in range(len(row)))
    return x


@pytest.mark.parametrize("nfe", [1, 2, 5, 9])
def test_sampling_runs_the_table_as_it_is_defined(nfe: int) -> None:
    table = random_table(nfe)
    noise, label = torch.randn(3, 1, 2, 2), torch.tensor([0, 1, 2])
    sampled = sample(swirl, compile_program(table, FLOW), noise, label)
    torch.testing.assert_close(
        sampled, transcribed(table, noise, label).float(), rtol=1e-4, atol=1e-5
    )


def test_a_short_memory_keeps_a_short_history() -> None:
    times = tuple(n / 10 for n in range(11))
    rows = ((0.1,), *[(-0.05, 0.15)] * 9)
    table = SolverTable("rectified-flow", "velocity", times[:-1], times, (1.0,) * 10, rows)
    program = compile_program(table, FLOW)
    assert program.history_length == 2
    noise, label = torch.randn(2, 1, 2, 2), torch.tensor([0, 1])
    torch.testing.assert_close(
        sample(swirl, program, noise, label),
        transcribed(table, noise, label).float(),
        rtol=1e-5,
        atol=1e-5,
    )


def test_coefficients_and_tables_are_the_same_numbers() -> None:
    table = random_table(6)
    assert Coefficients.from_table(table).to_table() == table


@pytest.mark.parametrize("given", list(Prediction))
@pytest.mark.parametrize("summed", list(Prediction))
def test_the_summed_prediction_is_what_the_network_knows_in_any_form(given, summed) -> None:
    """One true pair (data, noise): whatever form the network gives it in, u comes out the same."""
    data, noise = torch.randn(4, 1, 2, 2), torch.randn(4, 1, 2, 2)
    forms = {"velocity": data - noise, "data": data, "noise": noise}
    t = 0.3
    times = (t, 0.6)
    table = SolverTable("rectified-flow", summed, (t,), times, (0.0,), ((1.0,),))
    program = compile_program(table, NetworkKind("rectified-flow", given))
    x_t = t * data + (1 - t) * noise
    u = sample(lambda x, time, label: forms[given], program, x_t, torch.zeros(4).long())
    torch.testing.assert_close(u, forms[summed], rtol=1e-5, atol=1e-5)


def test_the_preview_columns_give_the_picture_that_the_solver_sees() -> None:
    data, noise, t = torch.randn(1, 1, 2, 2), torch.randn(1, 1, 2, 2), 0.3
    table = SolverTable("rectified-flow", "velocity", (t,), (t, 1.0), (1.0,), ((0.7,),))
    program = compile_program(table, FLOW)
    x = t * data + (1 - t) * noise
    seen = program.data_x[0] * x + program.data_u[0] * (data - noise)
    torch.testing.assert_close(seen.float(), data, rtol=1e-5, atol=1e-5)


def test_a_noise_network_at_pure_noise_is_refused_with_the_place() -> None:
    table = SolverTable("rectified-flow", "data", (0.0, 0.5), (0.0, 0.5, 1.0), (1, 1), ((1,), (1,)))
    with pytest.raises(TableMismatch, match=r"infinite at times\[0\] = 0"):
        compile_program(table, NetworkKind("rectified-flow", Prediction.NOISE))


def test_a_conversion_that_float32_cannot_hold_is_refused_with_the_place() -> None:
    times = (1e-40, 0.5, 1.0)
    table = SolverTable("rectified-flow", "data", times[:2], times, (1, 1), ((1,), (1,)))
    with pytest.raises(TableMismatch, match=r"infinite at times\[0\] = 1e-40"):
        compile_program(table, NetworkKind("rectified-flow", Prediction.NOISE))


def test_a_table_of_another_schedule_is_refused() -> None:
    with pytest.raises(TableMismatch, match="cannot drive"):
        compile_program(random_table(2), NetworkKind("ddpm", Prediction.NOISE))


def test_a_vp_table_gives_a_ddpm_network_its_own_clock() -> None:
    table = SolverTable("vp", "data", (0.999, 0.5), (0.999, 0.5, 0.001), (1, 1), ((1,), (1,)))
    program = compile_program(table, NetworkKind("ddpm", Prediction.NOISE))
    torch.testing.assert_close(program.network_time, torch.tensor([999.0, 500.0]).double())


def test_gradients_reach_every_time_and_weight() -> None:
    table = random_table(4, Prediction.DATA)
    numbers = Coefficients.from_table(table)
    leaves = {
        name: getattr(numbers, name).clone().requires_grad_()
        for name in ("node_times", "times", "carry", "weights")
    }
    program = compile_program(Coefficients(numbers.schedule, numbers.prediction, **leaves), FLOW)
    label = torch.tensor([0, 1])
    sample(swirl, program, torch.randn(2, 1, 2, 2), label).square().sum().backward()
    assert (leaves["node_times"].grad != 0).all()
    assert (leaves["times"].grad[:-1] != 0).all()  # the last time bounds, it is not evaluated
    assert (leaves["carry"].grad != 0).all()
    lower = torch.ones(4, 4).tril().bool()
    assert (leaves["weights"].grad[lower] != 0).all()


def test_guidance_follows_its_formula_on_its_lanes_and_channels() -> None:
    conditional, unconditional = torch.randn(4, 4, 2, 2), torch.randn(2, 4, 2, 2)
    guidance = Guidance(torch.tensor([1, 3]), torch.tensor([1.5, 0.0]), torch.tensor([3, 3]), 9)
    guided = guide(conditional, unconditional, guidance)
    assert torch.equal(guided[[0, 2]], conditional[[0, 2]])
    torch.testing.assert_close(
        guided[1, :3], unconditional[0, :3] + 1.5 * (conditional[1, :3] - unconditional[0, :3])
    )
    torch.testing.assert_close(guided[3, :3], unconditional[1, :3])
    assert torch.equal(guided[:, 3], conditional[:, 3])  # the fourth channel stays conditional


def test_guided_lanes_ask_for_their_class_and_for_none_in_one_forward() -> None:
    seen = []

    def network(x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
        seen.append((len(x), time.tolist(), class_label.tolist()))
        return x

    guidance = Guidance(torch.tensor([1]), torch.tensor([2.0]), torch.tensor([1]), 9)
    x = torch.randn(2, 1, 2, 2)
    out = predict(network, x, torch.tensor([0.25, 0.5]), torch.tensor([3, 4]), guidance, pad_to=5)
    assert seen == [(5, [0.25, 0.5, 0.5, 0.0, 0.0], [3, 4, 9, 0, 0])]
    torch.testing.assert_close(out, x)


def test_unused_history_slots_do_not_change_a_bit() -> None:
    x, history = torch.randn(2, 3, 4, 4), [torch.randn(2, 3, 4, 4) for _ in range(3)]
    carry, weights = torch.rand(2), torch.randn(2, 3)
    alone = update(x, history, carry, weights)
    wide = update(
        x,
        [*history, torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)],
        carry,
        torch.cat([weights, torch.zeros(2, 2)], dim=1),
    )
    assert torch.equal(alone, wide)
