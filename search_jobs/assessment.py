"""A found table -> its evidence, and what is to become of it."""

from dataclasses import dataclass
from pathlib import Path

from diffusion_core.card import ModelCard
from solver_store.records import JSON, Evidence, Target
from solver_store.store import SolverStore
from solver_store.table import SolverTable

from .control import Promotion
from .evaluate import (
    Contender,
    EvaluationPlan,
    Measurement,
    Meter,
    Subject,
    classical_contenders,
    evaluate,
    evidence_of,
    most_evaluations,
)
from .promotion import Decision, decide_champion, decide_faithful
from .rivals import Rivals, Standing, best_classical, find_rivals
from .spec import Promote

NUM_CONTENDERS = 5  # as a rule: what was found, what is served, classical solvers


@dataclass(frozen=True)
class Assessment:
    """What a search publishes beside its table."""

    name: str  # to publish under: the target's, whose aliases were looked at
    evidence: Evidence | None  # None where it could not be measured
    promotions: tuple[Promotion, ...]
    decision: str  # in a sentence or two


def assess(
    subject: Subject,
    card: ModelCard,
    store: SolverStore,
    table: SolverTable,
    plan: EvaluationPlan,
    *,
    promote: Promote = Promote.IF_BETTER,
    cache: Path | None = None,
    meter: Meter | None = None,
) -> Assessment:
    """Measure a table beside its rivals on the same noises, and decide.

    The decisions and their figures are part of the evidence, win or lose.
    Raises as `evaluate`, and StoreUnavailable, StoreDamaged.
    """
    meter = meter or Meter()
    steps, guidance_scale = table.nfe, subject.problem.guidance_scale
    standing = Standing.of(store, Target(subject.name, guidance_scale), steps)
    meter.foresee(_foreseen(subject, plan, steps))
    classical = best_classical(subject, card.default_solver, steps, plan, cache, meter)
    rivals = find_rivals(store, card, standing, classical, steps, guidance_scale)
    contenders = [Contender("what was found", table), *rivals.contenders]
    evaluation = evaluate(subject, contenders, plan, cache, meter)
    meter.finish(contenders[-1].name)
    candidate, *others = evaluation.measurements
    decisions = _decide(candidate, rivals, others)
    details: dict[str, JSON] = {
        "decisions": [decision.as_dict() for decision in decisions],
        "rivals": [
            _shown(contender, measurement)
            for contender, measurement in zip(rivals.contenders, others, strict=True)
        ],
    }
    return Assessment(
        name=standing.name,
        evidence=evidence_of(subject, evaluation, candidate, details),
        promotions=_promotions(decisions, standing, promote),
        decision=_told(decisions, promote),
    )


def _foreseen(subject: Subject, plan: EvaluationPlan, steps: int) -> int:
    """About how many network rows: screening, the converged solutions, and the contenders."""
    everyone = classical_contenders(subject.problem.kind, steps, with_uniform_lambda=True)
    samples = plan.screening().num_samples * len(everyone) + plan.num_samples * NUM_CONTENDERS
    evaluations = samples * steps + most_evaluations(plan.num_endpoints)
    return evaluations * subject.rows_per_sample


def _decide(
    candidate: Measurement, rivals: Rivals, others: list[Measurement]
) -> tuple[Decision, Decision]:
    names = [contender.name for contender in rivals.contenders]
    measured = dict(zip(names, others, strict=True))
    return (
        decide_champion(candidate, measured, rivals.served.name),
        decide_faithful(candidate, measured),
    )


def _promotions(
    decisions: tuple[Decision, ...], standing: Standing, promote: Promote
) -> tuple[Promotion, ...]:
    if promote is Promote.NEVER:
        return ()
    return tuple(
        Promotion(decision.alias, standing.expected(decision.alias), decision.sentence)
        for decision in decisions
        if decision.promote
    )


def _told(decisions: tuple[Decision, ...], promote: Promote) -> str:
    sentences = " ".join(decision.sentence for decision in decisions)
    return f"Nothing is promoted, as asked. {sentences}" if promote is Promote.NEVER else sentences


def _shown(contender: Contender, measurement: Measurement) -> dict[str, JSON]:
    return {
        "name": contender.name,
        "digest": measurement.digest,
        "num_broken": measurement.num_broken,
        "metrics": {m.value: e.value for m, e in measurement.estimates.items()},
    }
