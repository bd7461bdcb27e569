"""What the classical tables must satisfy, whatever the network."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from diffusion_core.classic import CLASSICAL_SOLVERS, classical_table, is_classical, trace
from diffusion_core.coefficients import Coefficients
from diffusion_core.errors import SolverUnknown, TableMismatch
from diffusion_core.schedule import get_schedule
from solver_store.table import MAX_NFE, SCHEDULES, Prediction, SolverTable

EVERY_NAME = [
    *CLASSICAL_SOLVERS,
    "unipc-2-bh1",
    "unipc-3-bh1",
    *(f"{name}-lambda" for name in (*CLASSICAL_SOLVERS, "unipc-2-bh1", "unipc-3-bh1")),
]
INTERIOR = {  # (noise end, data end) with alpha and sigma well away from zero
    "rectified-flow": (0.2, 0.8),
    "vp": (0.7, 0.2),
    "ddpm": (700.0, 200.0),
}


def interior_times(schedule: str, steps: int) -> Tensor:
    """Uneven times within INTERIOR."""
    start, end = INTERIOR[schedule]
    share = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)
    return start + (end - start) * (share + 0.1 * torch.sin(2.5 * share) * (1 - share))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", EVERY_NAME)
def test_every_table_is_valid_and_runs_from_end_to_end(name: str, schedule: str) -> None:
    family = get_schedule(schedule)
    for steps in (1, 2, 3, 4, 5, 7, 32):
        table = classical_table(name, schedule, steps)  # SolverTable refuses what is not finite
        assert table.nfe == steps
        assert (table.times[0], table.times[-1]) == (family.t_noise, family.t_data)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", ["heun", "ab4", "dpmpp-3m", "unipc-3", "unipc-3-bh1", "deis-3"])
def test_the_longest_table_is_valid_and_its_history_short(name: str, schedule: str) -> None:
    table = classical_table(name, schedule, MAX_NFE)
    assert table.nfe == MAX_NFE
    assert table.history_length <= 4


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", EVERY_NAME)
def test_straight_lines_are_followed_exactly(name: str, schedule: str) -> None:
    # Where the network is right about one (data, noise) pair, every state is alpha D + sigma eps.
    data, noise = 0.7, -1.9
    family = get_schedule(schedule)
    for steps in (1, 2, 3, 6, 13):
        table = classical_table(name, schedule, steps)
        times = torch.tensor(table.times, dtype=torch.float64)
        line = family.alpha(times) * data + family.sigma(times) * noise
        answer = {
            Prediction.DATA: data,
            Prediction.NOISE: noise,
            Prediction.VELOCITY: data - noise,
        }[table.prediction]
        for n, (carry, row) in enumerate(zip(table.carry, table.weights, strict=True)):
            state = carry * line[n].item() + sum(row) * answer
            assert state == pytest.approx(line[n + 1].item(), abs=1e-11)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", EVERY_NAME)
def test_tracing_a_tables_own_times_gives_the_table(name: str, schedule: str) -> None:
    table = classical_table(name, schedule, 7)
    times = torch.tensor(table.times, dtype=torch.float64)
    assert trace(name, schedule, times).to_table() == table


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_lambda_times_are_uniform_in_log_snr_between_the_pinned_ends(schedule: str) -> None:
    family = get_schedule(schedule)
    times = torch.tensor(classical_table("ddim-lambda", schedule, 12).times, dtype=torch.float64)
    rises = family.log_snr(times[1:-1]).diff()
    first, last = family.log_snr(torch.tensor(family.lambda_ends, dtype=torch.float64))
    torch.testing.assert_close(rises, ((last - first) / 12).expand(10), rtol=1e-9, atol=0)


# Adams-Bashforth, Euler and Heun


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("euler", [1]),
        ("ab2", [-1 / 2, 3 / 2]),
        ("ab3", [5 / 12, -16 / 12, 23 / 12]),
        ("ab4", [-9 / 24, 37 / 24, -59 / 24, 55 / 24]),
    ],
)
def test_adams_bashforth_has_the_textbook_constants(name: str, constants: list[float]) -> None:
    table = classical_table(name, "rectified-flow", 8)
    assert table.carry == (1.0,) * 8
    for row in table.weights[len(constants) - 1 :]:
        assert list(row) == pytest.approx([c / 8 for c in constants], abs=1e-14)


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_variable_step_adams_bashforth_integrates_polynomials(order: int, schedule: str) -> None:
    family = get_schedule(schedule)
    times = interior_times(schedule, 9)
    numbers = trace(f"ab{order}", schedule, times)
    if schedule == "rectified-flow":
        tau, scale = times, torch.ones_like(times)
    else:
        tau, scale = family.sigma(times) / family.alpha(times), family.alpha(times)
    for degree in range(order):
        integral = (tau[1:] ** (degree + 1) - tau[:-1] ** (degree + 1)) / (degree + 1)
        step = numbers.weights @ tau[:-1] ** degree / scale[1:]
        torch.testing.assert_close(step[order - 1 :], integral[order - 1 :], rtol=1e-12, atol=0)
    torch.testing.assert_close(numbers.carry, scale[1:] / scale[:-1])


def test_heun_is_the_trapezoidal_rule_with_a_predicted_end() -> None:
    table = classical_table("heun", "rectified-flow", 5)
    third = 1 / 3
    assert table.times == pytest.approx((0, third, third, 2 * third, 2 * third, 1))
    assert table.node_times == pytest.approx((0, third, third, 2 * third, 2 * third))
    assert table.carry == (1.0,) * 5
    # From x_1 = x_0 + h u_0 to x_0 + h/2 (u_0 + u_1) it is -h/2 u_0 + h/2 u_1; the last is Euler.
    expected = [[third], [-third / 2, third / 2], [third], [-third / 2, third / 2], [third]]
    for row, weights in zip(table.weights, expected, strict=True):
        assert list(row) == pytest.approx(weights)


def test_heun_asks_the_network_at_the_end_of_each_step_within_its_range() -> None:
    table = classical_table("heun", "ddpm", 4)
    assert table.times == (999.0, 499.0, 499.0, -1.0, -1.0)
    assert table.node_times == (999.0, 499.0, 499.0, 0.0)


def test_heun_refuses_stages_that_end_apart() -> None:
    times = torch.tensor([0.0, 0.4, 0.5, 1.0], dtype=torch.float64)
    with pytest.raises(TableMismatch, match=r"times\[1\] is 0.4, times\[2\] is 0.5"):
        trace("heun", "rectified-flow", times)


# DEIS


@pytest.mark.parametrize(
    ("schedule", "times"),
    [
        ("vp", [0.999, 0.9, 0.7, 0.45, 0.2, 0.05, 1e-3]),
        ("vp", [0.5, 0.4, 0.25, 0.1, 0.0]),
        ("ddpm", [130.0, 121.5, 110.25, 104.0, 91.7]),
        ("ddpm", [14.0, 10.5, 7.0, 3.5, -1.0]),
    ],
)
def test_deis_weights_are_integrals_of_lagrange_polynomials(
    schedule: str, times: list[float]
) -> None:
    family = get_schedule(schedule)
    at = torch.tensor(times, dtype=torch.float64)
    numbers = trace("deis-3", schedule, at)
    alpha = family.alpha(at)
    rho = (family.sigma(at) / alpha).tolist()

    def time_of(rho_now: float) -> float:
        log_snr = torch.tensor(-np.log(rho_now), dtype=torch.float64)
        return float(family.time_of_log_snr(log_snr))

    for n in range(2, len(times) - 1):
        nodes = times[n - 2 : n + 1]
        indices = [t for t in range(-1, 1000) if times[n + 1] < t < times[n]]
        kinks = at.new_tensor(indices if schedule == "ddpm" else [])
        breaks = (family.sigma(kinks) / family.alpha(kinks)).tolist()
        for j in range(3):
            others = [nodes[m] for m in range(3) if m != j]

            def lagrange(
                rho_now: float, own: float = nodes[j], rest: list[float] = others
            ) -> float:
                t = time_of(rho_now)
                return float(np.prod([(t - other) / (own - other) for other in rest]))

            integral, _ = quad(
                lagrange,
                rho[n],
                rho[n + 1],
                epsabs=1e-14,
                epsrel=1e-13,
                limit=400,
                points=breaks or None,
            )
            weight = numbers.weights[n, n - 2 + j] / alpha[n + 1]
            assert weight.item() == pytest.approx(integral, rel=1e-10, abs=1e-13)


def test_deis_on_rectified_flow_is_adams_bashforth() -> None:
    times = interior_times("rectified-flow", 6)
    deis, adams = (trace(name, "rectified-flow", times).to_table() for name in ("deis-3", "ab3"))
    assert deis == adams


# The ends of the schedules


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("name", "order"), [("dpmpp-2m", 2), ("dpmpp-3m", 3)])
def test_the_order_falls_into_the_clean_image(name: str, order: int, schedule: str) -> None:
    lengths = [len(row) for row in classical_table(name, schedule, 8).weights]
    assert lengths[-2:] == [2, 1]
    assert max(lengths[:-2]) == order


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", ["dpmpp-2m", "dpmpp-3m"])
def test_the_order_stays_on_an_interior_interval(name: str, schedule: str) -> None:
    table = trace(name, schedule, interior_times(schedule, 8)).to_table()
    assert len(table.weights[-1]) == len(table.weights[-2]) == int(name[-2])


@pytest.mark.parametrize("name", ["unipc-2", "unipc-3"])
def test_unipc_ends_in_a_step_of_order_one(name: str) -> None:
    # Only the newest prediction, once the corrector of the step before is taken into account:
    # into sigma = 0 the carry is zero, so that nothing of the corrected state is left either.
    table = classical_table(name, "rectified-flow", 8)
    assert (table.carry[-1], table.weights[-1]) == (0.0, (1.0,))


def test_unipc_weights_stay_bounded_into_the_clean_image_where_full_order_does_not() -> None:
    assert largest_weight(classical_table("unipc-3", "rectified-flow", 8)) < 2.0
    short_of_it = torch.linspace(0.0, 1.0, 9, dtype=torch.float64).clamp(max=1 - 1e-10)
    assert largest_weight(trace("unipc-3", "rectified-flow", short_of_it).to_table()) > 50.0


@pytest.mark.parametrize("name", ["dpmpp-2m", "dpmpp-3m", "unipc-2", "unipc-3", "unipc-3-bh1"])
def test_pure_noise_is_the_limit_of_starting_ever_closer_to_it(name: str) -> None:
    # lambda only falls like log(t), so the limit is approached slowly.
    steps = 6
    times = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)
    limit = trace(name, "rectified-flow", times).weights
    distances = []
    for start in (1e-6, 1e-30, 1e-300):
        times[0] = start
        near = trace(name, "rectified-flow", times).weights
        if name.endswith("bh1"):
            # Its corrector out of t_0 grows with h and is left out at t_0 = 0: see below.
            near[1], limit[1] = 0.0, 0.0
        distances.append((near - limit).abs().max().item())
    assert distances[0] > 4 * distances[1] > 16 * distances[2]
    assert distances[2] < 0.01


def test_bh1_leaves_out_the_corrector_that_diverges_out_of_pure_noise() -> None:
    times = torch.linspace(0.0, 1.0, 5, dtype=torch.float64)
    from_noise = trace("unipc-2-bh1", "rectified-flow", times)
    # Without a corrector at node 1, and 1/r = 0 for the prediction at t = 0, that step is DDIM's.
    assert_row(from_noise, 1, trace("ddim", "rectified-flow", times))
    times[0] = 1e-300
    near = trace("unipc-2-bh1", "rectified-flow", times)
    assert near.weights[1].abs().max() > 100 * from_noise.weights[1].abs().max()


def test_names_are_the_solvers_and_their_suffixes() -> None:
    assert all(is_classical(name) for name in EVERY_NAME)
    for name in ("", "-lambda", "euler-bh1", "unipc-3-lambda-bh1", "unipc-4", "EULER", "auto"):
        assert not is_classical(name)


def test_an_unknown_solver_is_refused_with_those_that_exist() -> None:
    with pytest.raises(SolverUnknown, match="no classical solver 'rk45'; there are euler, heun"):
        classical_table("rk45", "vp", 4)
    with pytest.raises(SolverUnknown):
        trace("rk45", "vp", torch.tensor([0.5, 0.4]))


@pytest.mark.parametrize("steps", [0, -1, 257, 10_000])
def test_a_number_of_steps_out_of_range_is_refused(steps: int) -> None:
    with pytest.raises(TableMismatch, match=f"steps must lie in 1 to 256, got {steps}"):
        classical_table("euler", "vp", steps)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(TableMismatch, match="got 'cosine'"):
        classical_table("euler", "cosine", 4)


def assert_row(actual: Coefficients, n: int, expected: Coefficients) -> None:
    torch.testing.assert_close(actual.carry[n], expected.carry[n])
    torch.testing.assert_close(actual.weights[n], expected.weights[n])


def largest_weight(table: SolverTable) -> float:
    return max(abs(weight) for row in table.weights for weight in row)
