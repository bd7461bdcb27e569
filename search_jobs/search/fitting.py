"""Weights in closed form: every step lands as near to the ODE's path as its predictions allow.

The times of a table stay as they are. It walks its own path x from some noises, and X is the
converged path from there through the same times. With u_0 … u_n what the network has said so far,
row n changes by the d that minimises, over all values of all samples,

    | X_{n+1} - carry[n] x_n - sum_j (weights[n, j] + d_j) u_j |^2 + ridge |d|^2

and x moves on by the new row: what a step missed, the next one may make good.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from diffusion_core.classic import trace
from diffusion_core.coefficients import Coefficients
from diffusion_core.program import Guidance, compile_program, predict, trajectory

from .problem import Problem

NUM_SAMPLES = 32
FINER, PATH_SOLVER = 3, "unipc-3"  # steps of the converged path, for each one of the table
RIDGE = 1e-8  # of the mean square of the predictions: neighbouring ones are nearly alike
SMALLEST_GAP = 1e-6  # of the schedule; a solver with stages has gaps of zero, and no path to fit


def fitting_cost(steps: int) -> int:
    """Network evaluations of one fit."""
    return NUM_SAMPLES * steps * (FINER + 1)


@torch.no_grad()
def fitted(problem: Problem, table: Coefficients) -> Coefficients:
    """The table with other weights; itself where its times do not all differ."""
    gaps = table.times.diff().abs()
    if bool((gaps < SMALLEST_GAP * gaps.sum()).any()):
        return table
    noise, labels = problem.draw(range(NUM_SAMPLES))
    guidance = problem.guidance(NUM_SAMPLES)
    program = compile_program(table, problem.kind)
    weights = table.weights.clone()
    predictions: list[Tensor] = []
    x = noise
    for n, aim in enumerate(_path(problem, table.times, noise, labels, guidance)):
        time = program.network_time[n].to(x).expand(NUM_SAMPLES)
        out = predict(problem.network, x, time, labels, guidance)
        said = float(program.prediction_x[n]) * x + float(program.prediction_out[n]) * out
        predictions.append(said.double())
        known = torch.stack(predictions)  # (n + 1, B, C, H, W)
        row = weights[n, : n + 1].to(known.device)
        landing = float(table.carry[n]) * x.double() + torch.einsum("j,jbchw->bchw", row, known)
        change = _least_squares(known.flatten(1), (aim.double() - landing).flatten())
        weights[n, : n + 1] += change.to(weights.device)
        x = (landing + torch.einsum("j,jbchw->bchw", change, known)).to(noise.dtype)
    return replace(table, weights=weights)


def _path(
    problem: Problem, times: Tensor, noise: Tensor, labels: Tensor, guidance: Guidance | None
) -> Iterator[Tensor]:
    """The converged states (B, C, H, W) at all times but the first."""
    parts = torch.linspace(0, 1, FINER + 1, dtype=times.dtype)[:-1]
    between = (times[:-1, None] + times.diff()[:, None] * parts).flatten()
    solver = trace(PATH_SOLVER, problem.kind.schedule, torch.cat([between, times[-1:]]))
    program = compile_program(solver, problem.kind)
    states = trajectory(problem.network, program, noise, labels, guidance)
    return islice(states, FINER - 1, None, FINER)


def _least_squares(predictions: Tensor, missing: Tensor) -> Tensor:
    """(n, P) and (P,) -> (n,) the combination of predictions nearest to what is missing."""
    products = predictions @ predictions.T
    ridge = RIDGE * products.diagonal().mean() * torch.eye(len(products)).to(products)
    change, failed = torch.linalg.solve_ex(products + ridge, predictions @ missing)
    # A network that says nothing at all (a last layer of zeros) has nothing to be combined.
    return torch.zeros_like(change) if bool(failed) else change
