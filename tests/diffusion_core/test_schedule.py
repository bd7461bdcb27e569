import numpy as np
import pytest
import torch
from scipy.integrate import quad

from diffusion_core.errors import TableMismatch
from diffusion_core.schedule import Schedule, get_schedule, network_time
from solver_store.table import SCHEDULES

ALL = [get_schedule(name) for name in SCHEDULES]
VP, DDPM = get_schedule("vp"), get_schedule("ddpm")


def between(schedule: Schedule, count: int = 41) -> torch.Tensor:
    """Times strictly between the ends."""
    ends = (schedule.t_noise, schedule.t_data)
    return torch.linspace(*ends, count + 2, dtype=torch.float64)[1:-1]


def test_vp_alpha_is_the_exponential_of_the_integrated_beta() -> None:
    for t in (1e-3, 0.2, 0.7, 0.999):
        integral, _ = quad(lambda s: 0.1 + (20.0 - 0.1) * s, 0.0, t, epsabs=1e-14)
        alpha = VP.alpha(torch.tensor(t, dtype=torch.float64)).item()
        assert alpha == pytest.approx(np.exp(-0.5 * integral), rel=1e-13)


def test_ddpm_alpha_is_the_product_of_the_training_betas() -> None:
    alphas_cumprod = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
    alpha = DDPM.alpha(torch.arange(1000, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(alpha, np.sqrt(alphas_cumprod), rtol=1e-12)


def test_ddpm_log_alpha_is_linear_between_indices() -> None:
    left, middle, right = DDPM.alpha(torch.tensor([41.0, 41.25, 42.0], dtype=torch.float64)).log()
    assert middle.item() == pytest.approx((0.75 * left + 0.25 * right).item(), rel=1e-13)


@pytest.mark.parametrize("schedule", [VP, DDPM], ids=lambda s: s.name)
def test_variance_is_preserved(schedule: Schedule) -> None:
    t = between(schedule)
    total = schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2
    torch.testing.assert_close(total, torch.ones_like(t), rtol=0, atol=1e-14)


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)
def test_the_data_end_is_the_clean_image(schedule: Schedule) -> None:
    end = torch.tensor(schedule.t_data, dtype=torch.float64)
    assert (schedule.alpha(end).item(), schedule.sigma(end).item()) == (1.0, 0.0)
    assert schedule.log_snr(end).item() == float("inf")


def test_rectified_flow_starts_at_pure_noise() -> None:
    schedule = get_schedule("rectified-flow")
    start = torch.tensor(0.0, dtype=torch.float64)
    assert (schedule.alpha(start).item(), schedule.sigma(start).item()) == (0.0, 1.0)
    assert schedule.log_snr(start).item() == -float("inf")


def test_sigma_keeps_its_digits_near_the_clean_image() -> None:
    # 1 - alpha^2 would lose them: beta_0 t = 1e-13 here.
    sigma = VP.sigma(torch.tensor(1e-12, dtype=torch.float64)).item()
    assert sigma == pytest.approx(np.sqrt(1e-13), rel=1e-10)


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)
def test_log_snr_rises_towards_the_data_and_inverts(schedule: Schedule) -> None:
    t = between(schedule, 997)
    log_snr = schedule.log_snr(t)
    assert (log_snr[1:] > log_snr[:-1]).all()
    scale = abs(schedule.t_noise - schedule.t_data)
    torch.testing.assert_close(schedule.time_of_log_snr(log_snr), t, rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)
def test_derivatives_agree_with_finite_differences(schedule: Schedule) -> None:
    # Off the indices, where ddpm has kinks.
    t = (between(schedule, 7) + 0.37 * abs(schedule.t_noise - schedule.t_data) / 1000).detach()
    t.requires_grad_()
    for function in (schedule.alpha, schedule.sigma, schedule.log_snr):
        assert torch.autograd.gradcheck(function, t, eps=1e-7 * abs(schedule.t_noise + 1))
    log_snr = schedule.log_snr(t).detach().requires_grad_()
    assert torch.autograd.gradcheck(schedule.time_of_log_snr, log_snr)


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: s.name)
def test_derivatives_are_finite_at_the_ends(schedule: Schedule) -> None:
    ends = torch.tensor([schedule.t_noise, schedule.t_data], dtype=torch.float64)
    ends.requires_grad_()
    for function in (schedule.alpha, schedule.sigma, schedule.log_snr):
        (gradient,) = torch.autograd.grad(function(ends).sum(), ends)
        assert gradient.isfinite().all()


def test_velocity_is_the_time_derivative_of_rectified_flow() -> None:
    schedule = get_schedule("rectified-flow")
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    data, noise = 1.7, -0.6
    (slope,) = torch.autograd.grad(schedule.alpha(t) * data + schedule.sigma(t) * noise, t)
    a, b = schedule.velocity_coefficients(t)
    assert slope.item() == pytest.approx((a * data + b * noise).item())


@pytest.mark.parametrize("schedule", [VP, DDPM], ids=lambda s: s.name)
def test_velocity_is_the_derivative_by_the_angle(schedule: Schedule) -> None:
    # With alpha = cos(phi) and sigma = sin(phi): dx / dphi = cos(phi) noise - sin(phi) data.
    t = between(schedule, 5)
    a, b = schedule.velocity_coefficients(t)
    angle = torch.atan2(schedule.sigma(t), schedule.alpha(t))
    torch.testing.assert_close(a, -torch.sin(angle))
    torch.testing.assert_close(b, torch.cos(angle))


def test_vp_and_ddpm_are_one_schedule_in_two_clocks() -> None:
    index = torch.arange(50, 1000, dtype=torch.float64)
    gap = DDPM.log_snr(index) - VP.log_snr(network_time(index, "ddpm", "vp"))
    assert gap.abs().max().item() < 0.045


def test_a_vp_table_gives_a_ddpm_network_its_index() -> None:
    t = torch.tensor([0.999, 0.5, 0.0], dtype=torch.float64)
    assert network_time(t, "vp", "ddpm").tolist() == pytest.approx([999.0, 500.0, 0.0])
    assert network_time(t * 1000, "ddpm", "vp").tolist() == pytest.approx([0.999, 0.5, 0.0])


def test_network_time_stays_within_the_training_indices() -> None:
    outside = torch.tensor([1.0, -0.001], dtype=torch.float64)
    assert network_time(outside, "vp", "ddpm").tolist() == [999.0, 0.0]
    assert network_time(torch.tensor([-1.0]), "ddpm", "ddpm").item() == 0.0


def test_a_rectified_flow_table_keeps_its_clock_and_fits_nothing_else() -> None:
    t = torch.tensor([0.0, 1.0])
    assert network_time(t, "rectified-flow", "rectified-flow") is t
    with pytest.raises(TableMismatch, match="rectified-flow cannot drive a model of schedule vp"):
        network_time(t, "rectified-flow", "vp")
    with pytest.raises(TableMismatch, match="ddpm cannot drive a model of schedule rectified-flow"):
        network_time(t, "ddpm", "rectified-flow")


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(TableMismatch, match="got 'cosine'"):
        get_schedule("cosine")
