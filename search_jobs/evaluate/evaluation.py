"""Contenders -> their measurements, all from the same noises."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from diffusion_core.quality import (
    NUM_GROUPS,
    Estimate,
    Judge,
    frechet_estimate,
    precision_estimate,
    psnr_of,
    recall_estimate,
)

from ..kept import named, read_json, write_json
from .contenders import Contender
from .measurement import Measurement, Metric
from .meter import Meter
from .plan import EvaluationPlan, groups_of
from .portions import Portions
from .readings import Ends, Readings, draw
from .reference import Converged, Reference
from .subject import Subject


@dataclass(frozen=True)
class Evaluation:
    """Contenders measured alike, and against what."""

    plan: EvaluationPlan
    converged: Converged
    measurements: tuple[Measurement, ...]  # in the order of the contenders


def evaluate(
    subject: Subject,
    contenders: Sequence[Contender],
    plan: EvaluationPlan,
    cache: Path | None = None,
    meter: Meter | None = None,
) -> Evaluation:
    """Measure every contender from the same noises; what the cache holds is not measured again.

    meter  is told of every forward; it may raise to end the work

    Raises TableMismatch where a table cannot drive the network, SearchRefused where the network's
    ODE has no finite end or memory no room for one sample, OSError where the cache cannot be
    written.
    """
    meter = meter or Meter()
    meter.expect(sum(_rows(subject, plan, contender) for contender in contenders))
    portions = Portions(plan.batch_rows // subject.rows_per_sample)
    reference = Reference(subject, portions, cache, meter)
    converged = reference.converge()
    ends: Ends | None = None
    measurements = []
    for contender in contenders:
        path = _path(subject, plan, converged, contender, cache)
        measurement = _known(path)
        if measurement is not None:
            meter.advance(_rows(subject, plan, contender), contender.name)
        else:
            if ends is None:
                latents = reference.endpoints(converged, plan.first_seed, plan.num_endpoints)
                ends = Ends.decoded(subject, latents, meter)
            readings = draw(subject, plan, ends, contender, portions, meter)
            measurement = _measurement(subject, plan, contender, readings)
            if path is not None:
                write_json(measurement.as_dict(), path)
        measurements.append(measurement)
    return Evaluation(plan, converged, tuple(measurements))


def _rows(subject: Subject, plan: EvaluationPlan, contender: Contender) -> int:
    return plan.num_samples * contender.table.nfe * subject.rows_per_sample


def _path(
    subject: Subject,
    plan: EvaluationPlan,
    converged: Converged,
    contender: Contender,
    cache: Path | None,
) -> Path | None:
    meaning = subject.problem.meaning | {
        "decoder": subject.decoder.identity,
        "judge": None if subject.judge is None else subject.judge.digest,
        "num_samples": plan.num_samples,
        "num_endpoints": plan.num_endpoints,
        "first_seed": plan.first_seed,
        "num_groups": NUM_GROUPS,
        "converged": [converged.solver, converged.steps],
        "table": contender.table.digest,
    }
    return named(cache, "measurements", meaning, ".json")


def _known(path: Path | None) -> Measurement | None:
    content = None if path is None else read_json(path)
    return None if content is None else Measurement.from_dict(content)


def _measurement(
    subject: Subject, plan: EvaluationPlan, contender: Contender, readings: Readings
) -> Measurement:
    estimates: dict[Metric, Estimate] = {}
    if not readings.num_broken:
        num_classes = subject.problem.num_classes
        estimates = _endpoint_estimates(readings, groups_of(plan.num_endpoints, num_classes))
        if subject.judge is not None:
            groups = groups_of(plan.num_samples, num_classes)
            estimates |= _judged_estimates(readings, groups, subject.judge)
    return Measurement(
        digest=contender.table.digest,
        steps=contender.table.nfe,
        num_samples=plan.num_samples,
        num_endpoints=plan.num_endpoints,
        num_broken=readings.num_broken,
        # An infinite PSNR, as the converged solution itself has, is no figure.
        estimates={metric: e for metric, e in estimates.items() if e.is_finite},
    )


def _endpoint_estimates(readings: Readings, groups: Tensor) -> dict[Metric, Estimate]:
    return {
        Metric.ENDPOINT_RMSE: Estimate.of_mean(readings.errors, groups, math.sqrt),
        Metric.PSNR: Estimate.of_mean(readings.picture_errors, groups, psnr_of),
    }


def _judged_estimates(readings: Readings, groups: Tensor, judge: Judge) -> dict[Metric, Estimate]:
    features = readings.features
    found = {
        Metric.FRECHET_DISTANCE: frechet_estimate(features, groups, judge.reference),
        Metric.CLASS_ACCURACY: Estimate.of_mean(readings.correct, groups),
    }
    if judge.real is not None and judge.real_features is not None:
        found[Metric.PRECISION] = precision_estimate(features, groups, judge.real)
        found[Metric.RECALL] = recall_estimate(features, groups, judge.real_features)
    return found
