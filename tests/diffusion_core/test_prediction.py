from itertools import product

import pytest
import torch

from diffusion_core.prediction import affine
from diffusion_core.schedule import get_schedule
from solver_store.table import SCHEDULES, Prediction

PAIRS = list(product(Prediction, Prediction))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("network", "wanted"), PAIRS)
def test_every_conversion_gives_back_what_the_state_was_made_of(
    name: str, network: Prediction, wanted: Prediction
) -> None:
    schedule = get_schedule(name)
    t = torch.linspace(schedule.t_noise, schedule.t_data, 13, dtype=torch.float64)[1:-1]
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    a, b = schedule.velocity_coefficients(t)
    data, noise = 0.8, -1.3
    truth = {
        Prediction.DATA: torch.full_like(t, data),
        Prediction.NOISE: torch.full_like(t, noise),
        Prediction.VELOCITY: a * data + b * noise,
    }
    x = alpha * data + sigma * noise

    p, q = affine(network, wanted, schedule, t)

    torch.testing.assert_close(p * x + q * truth[network], truth[wanted], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", Prediction)
def test_the_same_kind_is_passed_through_even_at_the_ends(name: str, kind: Prediction) -> None:
    schedule = get_schedule(name)
    ends = torch.tensor([schedule.t_noise, schedule.t_data], dtype=torch.float64)
    p, q = affine(kind, kind, schedule, ends)
    assert (p.tolist(), q.tolist()) == ([0.0, 0.0], [1.0, 1.0])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_velocity_network_tells_data_and_noise_at_both_ends(name: str) -> None:
    schedule = get_schedule(name)
    ends = torch.tensor([schedule.t_noise, schedule.t_data], dtype=torch.float64)
    for wanted in (Prediction.DATA, Prediction.NOISE):
        p, q = affine(Prediction.VELOCITY, wanted, schedule, ends)
        assert p.isfinite().all()
        assert q.isfinite().all()


@pytest.mark.parametrize("wanted", [Prediction.DATA, Prediction.VELOCITY])
def test_a_noise_network_tells_nothing_of_the_data_in_pure_noise(wanted: Prediction) -> None:
    start = torch.tensor([0.0], dtype=torch.float64)
    p, q = affine(Prediction.NOISE, wanted, get_schedule("rectified-flow"), start)
    assert p.isinf().all()
    assert q.isinf().all()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("wanted", [Prediction.NOISE, Prediction.VELOCITY])
def test_a_data_network_tells_nothing_of_the_noise_in_the_clean_image(
    name: str, wanted: Prediction
) -> None:
    schedule = get_schedule(name)
    end = torch.tensor([schedule.t_data], dtype=torch.float64)
    p, q = affine(Prediction.DATA, wanted, schedule, end)
    assert p.isinf().all()
    assert q.isinf().all()


def test_conversions_pass_gradients_to_the_times() -> None:
    t = torch.tensor([0.2, 0.6], dtype=torch.float64, requires_grad=True)
    for name, (network, wanted) in product(("rectified-flow", "vp"), PAIRS):
        if network != wanted:
            schedule = get_schedule(name)
            assert torch.autograd.gradcheck(
                lambda t, n=network, w=wanted, s=schedule: affine(n, w, s, t), t
            )
