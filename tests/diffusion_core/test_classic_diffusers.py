"""Our tables against diffusers' own schedulers, on the times that diffusers itself chooses.

UniPC and DDIM are driven in float64 and agree to 1e-12. DPM-Solver++ and flow matching cast the
state to float32 in every step, which leaves some 1e-7.
"""

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)
from torch import Tensor

from diffusion_core.classic import trace
from diffusion_core.schedule import get_schedule
from tests.diffusion_core.analytic import NOISE, data_prediction, prediction, solve

# diffusers 0.42 hands tensors to numpy in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FLOAT32 = 1e-6  # diffusers rounds the state to float32 in every step
FLOAT64 = 1e-12


def exact_ddpm(scheduler: SchedulerMixin) -> SchedulerMixin:
    """Give the scheduler its own betas once more, in float64: it keeps them in float32."""
    scheduler.alphas_cumprod = torch.cumprod(
        1.0 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0
    )
    return scheduler


def exact_sigmas(scheduler: SchedulerMixin) -> None:
    """The same for sigma / alpha at its own timesteps."""
    at_steps = scheduler.alphas_cumprod[scheduler.timesteps]
    sigmas = torch.cat([((1 - at_steps) / at_steps).sqrt(), torch.zeros(1, dtype=torch.float64)])
    torch.testing.assert_close(sigmas.float(), scheduler.sigmas, rtol=1e-5, atol=0)
    scheduler.sigmas = sigmas


def drive_ddpm(scheduler: SchedulerMixin) -> Tensor:
    """Run the toy network, as one that predicts noise, in a diffusers scheduler: every state."""
    x = NOISE
    states = []
    for timestep in scheduler.timesteps:
        alpha = scheduler.alphas_cumprod[timestep].sqrt()
        sigma = (1 - scheduler.alphas_cumprod[timestep]).sqrt()
        noise = (x - alpha * data_prediction(x, alpha, sigma)) / sigma
        x = scheduler.step(noise[None], timestep, x[None]).prev_sample[0]
        states.append(x)
    return torch.stack(states)


def drive_flow(scheduler: SchedulerMixin) -> Tensor:
    """The same as a flow network: diffusers' velocity is noise - data, its time is 1 - t."""
    x = NOISE
    states = []
    for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        data = data_prediction(x, 1 - sigma, sigma)
        velocity = (x - data) / sigma
        x = scheduler.step(velocity[None], timestep, x[None]).prev_sample[0]
        states.append(x)
    return torch.stack(states)


def ours(name: str, schedule: str, times: Tensor) -> Tensor:
    numbers = trace(name, schedule, times)
    family = get_schedule(schedule)
    return solve(
        numbers,
        lambda x, n: prediction(family, numbers.prediction, x, numbers.times[n]),
        NOISE,
    )[1:]


def compare_unipc(actual: Tensor, expected: Tensor, variant: str) -> None:
    if variant == "bh1":  # diffusers multiplies inf by 0 on the step into sigma = 0
        assert expected[-1].isnan().all()
        assert actual[-1].isfinite().all()
        actual, expected = actual[:-1], expected[:-1]
    torch.testing.assert_close(actual, expected, rtol=FLOAT64, atol=FLOAT64)


def ddpm_times(scheduler: SchedulerMixin) -> Tensor:
    """Its timesteps, then the clean image, which lies at -1 in our clock."""
    return torch.cat([scheduler.timesteps.double(), torch.tensor([-1.0], dtype=torch.float64)])


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 50])
def test_ddim_agrees_on_ddpm(steps: int) -> None:
    scheduler = exact_ddpm(DDIMScheduler(1000, 1e-4, 0.02, "linear", clip_sample=False))
    scheduler.set_timesteps(steps)
    expected = drive_ddpm(scheduler)
    for name in ("ddim", "euler"):  # one algorithm, in data and in noise predictions
        actual = ours(name, "ddpm", ddpm_times(scheduler))
        torch.testing.assert_close(actual, expected, rtol=FLOAT64, atol=FLOAT64)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 8, 14])
def test_dpm_solver_agrees_on_ddpm(order: int, steps: int) -> None:
    scheduler = exact_ddpm(
        DPMSolverMultistepScheduler(
            1000, 1e-4, 0.02, "linear", solver_order=order, algorithm_type="dpmsolver++"
        )
    )
    scheduler.set_timesteps(steps)
    exact_sigmas(scheduler)
    name = {1: "ddim", 2: "dpmpp-2m", 3: "dpmpp-3m"}[order]
    actual = ours(name, "ddpm", ddpm_times(scheduler))
    torch.testing.assert_close(actual, drive_ddpm(scheduler), rtol=FLOAT32, atol=FLOAT32)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 8, 20])
def test_unipc_agrees_on_ddpm(order: int, variant: str, steps: int) -> None:
    scheduler = exact_ddpm(
        UniPCMultistepScheduler(1000, 1e-4, 0.02, "linear", solver_order=order, solver_type=variant)
    )
    scheduler.set_timesteps(steps)
    exact_sigmas(scheduler)
    name = f"unipc-{order}" + ("-bh1" if variant == "bh1" else "")
    actual, expected = ours(name, "ddpm", ddpm_times(scheduler)), drive_ddpm(scheduler)
    compare_unipc(actual, expected, variant)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("steps", [2, 3, 5, 8, 14])
def test_dpm_solver_agrees_on_rectified_flow(order: int, steps: int) -> None:
    scheduler = DPMSolverMultistepScheduler(
        solver_order=order, use_flow_sigmas=True, prediction_type="flow_prediction"
    )
    scheduler.set_timesteps(steps)
    scheduler.sigmas = scheduler.sigmas.double()
    actual = ours(f"dpmpp-{order}m", "rectified-flow", 1.0 - scheduler.sigmas)
    torch.testing.assert_close(actual, drive_flow(scheduler), rtol=FLOAT32, atol=FLOAT32)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("steps", [2, 3, 5, 8, 20])
def test_unipc_agrees_on_rectified_flow(order: int, variant: str, steps: int) -> None:
    scheduler = UniPCMultistepScheduler(
        solver_order=order,
        solver_type=variant,
        use_flow_sigmas=True,
        prediction_type="flow_prediction",
    )
    scheduler.set_timesteps(steps)  # starts at sigma = 1 - 1e-6, where we could start at 1
    scheduler.sigmas = scheduler.sigmas.double()
    name = f"unipc-{order}" + ("-bh1" if variant == "bh1" else "")
    actual = ours(name, "rectified-flow", 1.0 - scheduler.sigmas)
    compare_unipc(actual, drive_flow(scheduler), variant)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_euler_agrees_with_flow_match_euler(shift: float, steps: int) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(steps)
    times = 1.0 - scheduler.sigmas.double()
    expected = drive_flow(scheduler)
    for name in ("euler", "ddim"):  # on rectified flow both are the straight line
        actual = ours(name, "rectified-flow", times)
        torch.testing.assert_close(actual, expected, rtol=FLOAT32, atol=FLOAT32)


@pytest.mark.parametrize("macro_steps", [1, 2, 5, 8])
def test_heun_agrees_with_flow_match_heun(macro_steps: int) -> None:
    scheduler = FlowMatchHeunDiscreteScheduler()
    scheduler.set_timesteps(macro_steps)  # ends in an Euler step: 2 * macro_steps - 1 evaluations
    actual = ours("heun", "rectified-flow", 1.0 - scheduler.sigmas.double())
    # It divides the rounded state by sigma, at last 1e-3.
    torch.testing.assert_close(actual, drive_flow(scheduler), rtol=5e-5, atol=5e-5)
