"""A measurement as the store keeps it."""

import torch

from solver_store.records import JSON, Evidence

from .evaluation import Evaluation
from .measurement import Measurement
from .subject import Subject


def evidence_of(
    subject: Subject,
    evaluation: Evaluation,
    measurement: Measurement,
    details: dict[str, JSON] | None = None,
) -> Evidence:
    """Figures, with all that they mean beside them: samples, seeds, intervals, reference, judge.

    details  is kept beside those. Raises RecordError where the subject has no weights' digest.
    """
    return Evidence(
        model=subject.name,
        model_digest=subject.problem.identity,
        steps=measurement.steps,
        guidance_scale=subject.problem.guidance_scale,
        metrics={m.value: estimate.value for m, estimate in measurement.estimates.items()},
        details=_meaning(subject, evaluation, measurement) | (details or {}),
    )


def _meaning(subject: Subject, evaluation: Evaluation, measurement: Measurement) -> dict[str, JSON]:
    seeds, judge = evaluation.plan.seeds, subject.judge
    intervals: dict[str, JSON] = {
        metric.value: list(measurement.interval(metric)) for metric in measurement.estimates
    }
    return {
        "num_samples": measurement.num_samples,
        "num_endpoints": measurement.num_endpoints,
        "num_broken": measurement.num_broken,
        "seeds": [seeds[0], seeds[-1]],
        "intervals_95": intervals,
        "converged": {
            "solver": evaluation.converged.solver,
            "steps": evaluation.converged.steps,
            "self_error": evaluation.converged.self_error,
        },
        "judge": None if judge is None else judge.digest,
        "num_real_features": 0 if judge is None or judge.real is None else len(judge.real),
        "device": subject.problem.device.type,
        "torch": torch.__version__,
    }
