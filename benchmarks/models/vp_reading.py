"""Two readings of the published VP tables: one update a step, or two.

The paper's eq. 19 updates the state once a step. The sampler that was released with it (repository
MCG-NJU/NeuralSolver, src/diffusion/ddpm/ns_sampling.py) updates it twice, and remembers every
prediction twice, so that the coefficient meant for prediction j falls on prediction j // 2:

    y = c x + g sum_j C[i, j] D_{j // 2} + g (1 - sum_j C[i, j]) D_i    c = sigma' / sigma
    x' = c y + g D_i                                                    g = sigma' (omega' - omega)

Both are linear in the predictions, so both are tables, and can be measured alike.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from diffusion_core.paper_form import coefficient_matrix, vp_coefficients
from diffusion_core.schedule import get_schedule
from search_jobs.evaluate import Contender, EvaluationPlan, Meter, Metric, Subject, evaluate
from solver_store.published import PublishedTable
from solver_store.table import SolverTable

from ..results import Result


def doubled(published: PublishedTable) -> SolverTable:
    """A published VP table as the released sampler runs it."""
    time_deltas = torch.tensor(published.time_deltas, dtype=torch.float64)
    coefficients = coefficient_matrix(published.coefficients)
    once = vp_coefficients(time_deltas, torch.zeros_like(coefficients))
    schedule = get_schedule("vp")
    sigma = schedule.sigma(once.times)
    omega = schedule.alpha(once.times) / sigma
    carry = sigma[1:] / sigma[:-1]
    gain = sigma[1:] * (omega[1:] - omega[:-1])
    weights = (carry * gain)[:, None] * _remembered_twice(coefficients) + torch.diag(gain)
    return replace(once, carry=carry.square(), weights=weights).to_table()


def _remembered_twice(coefficients: Tensor) -> Tensor:
    """(N, N): column j moves to column j // 2; the newest prediction gets what is left to 1."""
    moved = torch.zeros_like(coefficients)
    for j in range(len(coefficients)):
        moved[:, j // 2] += coefficients[:, j]
    return moved + torch.diag(1.0 - coefficients.sum(dim=1))


def compare_readings(
    subject: Subject, family: Sequence[PublishedTable], plan: EvaluationPlan, cache: Path
) -> Result:
    """Both readings of every table, measured on a network that predicts noise."""
    contenders = [Contender(f"{entry.name}, single", entry.table) for entry in family]
    contenders += [Contender(f"{entry.name}, doubled", doubled(entry)) for entry in family]
    evaluation = evaluate(subject, contenders, plan, cache, Meter())
    names = [contender.name for contender in contenders]
    figures = {
        f"{name} {metric.value}": measurement.estimates[metric].value
        for name, measurement in zip(names, evaluation.measurements, strict=True)
        for metric in (Metric.ENDPOINT_RMSE, Metric.FRECHET_DISTANCE, Metric.CLASS_ACCURACY)
        if metric in measurement.estimates
    }
    return Result(
        name="models-vp-reading",
        about="The published DiT tables, as their paper says (one update a step) and as the "
        "sampler runs that was released with it (two): root mean square distance of the ends from "
        "the converged solution, Fréchet distance, class accuracy.",
        parameters={
            "model": subject.name,
            "guidance_scale": subject.problem.guidance_scale,
            "samples": plan.num_samples,
        },
        figures=figures,
        samples={},
    )
