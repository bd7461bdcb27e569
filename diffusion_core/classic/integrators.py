"""Solvers that integrate the prediction over a time: Euler, Heun, Adams-Bashforth, DEIS-tAB.

    dy / dtau = u        y = x / scale

schedule         u          tau             scale
rectified-flow   velocity   t               1
vp, ddpm         noise      sigma / alpha   alpha

In y the exponential integrators have no linear part left: all carries are 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from solver_store.table import Prediction

from ..coefficients import Coefficients
from ..errors import TableMismatch
from ..schedule import Schedule, VariancePreserving
from ..tracing import Tracer, coefficients_from_rows
from .moments import adams_weights, deis_weights


@dataclass(frozen=True)
class Path:
    """Where the state stands after each evaluation, in t and in tau."""

    schedule: Schedule
    prediction: Prediction
    times: Tensor  # (N + 1,)
    tau: Tensor  # (N + 1,)
    scale: Tensor  # (N + 1,)

    @property
    def nfe(self) -> int:
        return self.times.shape[0] - 1

    def coefficients(self, rows: Tensor) -> Coefficients:
        """From rows in y to rows in x = scale * y; rows (N, N + 1)."""
        carry = rows[:, :1] * (self.scale[1:] / self.scale[:-1])[:, None]
        weights = rows[:, 1:] * self.scale[1:, None]
        rows = torch.cat([carry, weights], dim=1)
        return coefficients_from_rows(rows, self.schedule, self.prediction, self.times)


def path_of(schedule: Schedule, times: Tensor) -> Path:
    if isinstance(schedule, VariancePreserving):
        alpha = schedule.alpha(times)
        return Path(schedule, Prediction.NOISE, times, schedule.sigma(times) / alpha, alpha)
    return Path(schedule, Prediction.VELOCITY, times, times, torch.ones_like(times))


def euler(schedule: Schedule, times: Tensor) -> Coefficients:
    """The newest prediction holds over the step."""
    return adams_bashforth(schedule, times, order=1)


def adams_bashforth(schedule: Schedule, times: Tensor, order: int) -> Coefficients:
    """Integrate the polynomial in tau through the newest `order` predictions.

    The first steps use as many predictions as there are.
    Source: Hairer, Norsett & Wanner, Solving ODEs I, section III.5 (variable steps).
    """
    path = path_of(schedule, times)
    return _multistep(path, order, lambda n, points: adams_weights(path.tau, n, points))


def deis(schedule: Schedule, times: Tensor, order: int) -> Coefficients:
    """DEIS-tAB: integrate the polynomial in t through the newest `order` predictions over tau.

    On rectified flow tau is t, so that DEIS is Adams-Bashforth there.
    Source: Zhang & Chen 2023 (arXiv 2204.13902), section 3.3.
    """
    if not isinstance(schedule, VariancePreserving):
        return adams_bashforth(schedule, times, order)
    path = path_of(schedule, times)
    return _multistep(path, order, lambda n, points: deis_weights(schedule, times, n, points))


def heun(schedule: Schedule, times: Tensor) -> Coefficients:
    """The trapezoidal rule with a predicted end: two evaluations a step.

    The first stage moves the state to the step's end, the second corrects it there, so that every
    time but the first stands twice. An odd number of evaluations ends in one Euler step.

    Raises TableMismatch where the two stages of a step do not end at the same time.
    """
    path = path_of(schedule, times)
    _check_pairs(times)
    tracer = Tracer(path.nfe)
    y = tracer.start()
    for n in range(0, path.nfe, 2):
        y, slope = tracer.ask(y)
        step = path.tau[n + 1] - path.tau[n]
        predicted = y + step * slope
        if n + 1 == path.nfe:
            return path.coefficients(tracer.finish(predicted))
        _, end_slope = tracer.ask(predicted)
        y = tracer.from_new_origin(y) + step / 2 * (slope + end_slope)
    return path.coefficients(tracer.finish(y))


def _multistep(path: Path, order: int, weights: Callable[[int, int], Tensor]) -> Coefficients:
    """y_{n+1} = y_n + sum_j weights(n, points)[j] * u_{n-j}."""
    tracer = Tracer(path.nfe)
    y = tracer.start()
    newest: list[Tensor] = []  # predictions, the newest first
    for n in range(path.nfe):
        y, prediction = tracer.ask(y)
        newest = [prediction, *newest][:order]
        y = y + weights(n, len(newest)) @ torch.stack(newest)
    return path.coefficients(tracer.finish(y))


def _check_pairs(times: Tensor) -> None:
    for n in range(1, times.shape[0] - 1, 2):
        if times[n] != times[n + 1]:
            raise TableMismatch(
                f"both stages of a Heun step end at one time: times[{n}] is {times[n]:g}, "
                f"times[{n + 1}] is {times[n + 1]:g}"
            )
