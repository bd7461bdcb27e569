"""DDIM and the multistep solvers of DPM-Solver++."""

from torch import Tensor

from ..coefficients import Coefficients
from ..schedule import Schedule
from ..tracing import Tracer
from .log_snr import LogSnrPath, log_snr_path


def ddim(schedule: Schedule, times: Tensor) -> Coefficients:
    """The newest data prediction holds over the step: DPM-Solver++ of order 1.

    Source: Song et al. 2021 (arXiv 2010.02502), eq. 12 with eta = 0.
    """
    return dpm_solver_pp(schedule, times, order=1)


def dpm_solver_pp(schedule: Schedule, times: Tensor, order: int) -> Coefficients:
    """DPM-Solver++(2M) or (3M): divided differences of D in lambda.

    The paper has no 3M; this is the authors' own, and diffusers', with phi_3 times the second
    divided difference. The integral asks for phi_3 times the second derivative, which is twice
    that, so 3M converges with order 2 (with the factor it would be 3). It is kept, for it is what
    the name stands for everywhere.

    Source: Lu et al. 2022 (arXiv 2211.01095), algorithm 2; diffusers'
    DPMSolverMultistepScheduler with algorithm_type "dpmsolver++" and solver_type "midpoint".
    """
    path = log_snr_path(schedule, times)
    tracer = Tracer(path.nfe)
    x = tracer.start()
    newest: list[Tensor] = []  # data predictions, the newest first
    for n in range(path.nfe):
        x, prediction = tracer.ask(x)
        newest = [prediction, *newest][:order]
        x = path.carry[n] * x + _gain(path, n, newest[: path.order(n, order)])
    return path.coefficients(tracer.finish(x))


def _gain(path: LogSnrPath, n: int, newest: list[Tensor]) -> Tensor:
    """alpha' int e^{lambda - lambda'} D dlambda over step n, from 1 to 3 predictions."""
    constant = path.gain[n] * newest[0]
    if len(newest) == 1:
        return constant
    # Slopes of D per step; 1 / r = h / h_prev is 0 where the older node has lambda = -inf.
    inverse_r0 = path.rise[n] / path.rise[n - 1]
    slope = inverse_r0 * (newest[0] - newest[1])
    if len(newest) == 2:
        return constant + 0.5 * path.gain[n] * slope
    inverse_r1 = path.rise[n] / path.rise[n - 2]
    bend = (slope - inverse_r1 * (newest[1] - newest[2])) / (inverse_r0 + inverse_r1)
    first = slope + inverse_r1 * bend
    second = inverse_r0 * inverse_r1 * bend
    return constant + path.alpha_rise(n) * (path.phi(2, n) * first + path.phi(3, n) * second)
