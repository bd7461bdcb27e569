"""A nonlinear network known in closed form, its exact trajectory, and a plain solver loop."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from diffusion_core.coefficients import Coefficients
from diffusion_core.schedule import Schedule
from solver_store.table import Prediction

NOISE = torch.tensor([-1.7, -0.4, 0.3, 1.1, 2.2], dtype=torch.float64)


def data_prediction(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """D(x, t): smooth in x and in t, and defined at both ends."""
    share = alpha / (alpha + sigma)
    return torch.tanh(0.9 * x + torch.cos(3.0 * share)) + 0.3 * torch.sin(2.0 * share)


def prediction(schedule: Schedule, kind: Prediction, x: Tensor, t: Tensor) -> Tensor:
    """The toy network's answer at time t in the basis asked for."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    data = data_prediction(x, alpha, sigma)
    if kind is Prediction.DATA:
        return data
    noise = (x - alpha * data) / sigma
    if kind is Prediction.NOISE:
        return noise
    a, b = schedule.velocity_coefficients(t)
    return a * data + b * noise


def solve(numbers: Coefficients, predict: Callable[[Tensor, int], Tensor], x: Tensor) -> Tensor:
    """Every state x_0 .. x_N, (N + 1, P).

    x_{n+1} = carry[n] x_n + sum_j weights[n, j] u_j, with u_n = predict(x_n, n)
    """
    states, history = [x], []
    for n in range(numbers.nfe):
        history.append(predict(states[n], n))
        combined = numbers.weights[n, : n + 1] @ torch.stack(history)
        states.append(numbers.carry[n] * states[n] + combined)
    return torch.stack(states)


def exact_states(schedule: Schedule, times: Tensor, x: Tensor) -> Tensor:
    """The ODE's solution at every time, from x at the first; (N + 1, P). Sigma must not be 0.

    dy / drho = (y - D) / rho      y = x / alpha, rho = sigma / alpha
    """
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    rho = (sigma / alpha).numpy()

    def slope(rho_now: float, y: np.ndarray) -> np.ndarray:
        t = schedule.time_of_log_snr(torch.tensor(-np.log(rho_now), dtype=torch.float64))
        alpha_now, sigma_now = schedule.alpha(t), schedule.sigma(t)
        data = data_prediction(alpha_now * torch.from_numpy(y), alpha_now, sigma_now)
        return (y - data.numpy()) / rho_now

    states = [(x / alpha[0]).numpy()]
    for start, end in pairwise(rho):
        leg = solve_ivp(slope, (start, end), states[-1], method="DOP853", rtol=1e-13, atol=1e-14)
        states.append(leg.y[:, -1])
    return torch.from_numpy(np.stack(states)) * alpha[:, None]
