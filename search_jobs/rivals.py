"""What a candidate must beat, and where the aliases stand that it could take."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diffusion_core.card import ModelCard
from diffusion_core.classic import classical_table
from diffusion_core.select import (
    PUBLISHED_FAMILIES,
    SelectedSolver,
    SolverSelector,
    published_families,
)
from solver_store.errors import VersionNotFound
from solver_store.records import CHAMPION, FAITHFUL, SolverVersion, Target
from solver_store.store import SolverStore

from .evaluate import (
    Contender,
    EvaluationPlan,
    Meter,
    Metric,
    Subject,
    classical_contenders,
    evaluate,
    fits,
)

NUM_CLASSICAL = 2  # the best of them, besides the one that the model's card names


@dataclass(frozen=True)
class Standing:
    """Where an alias of the candidate's name points; None where it does not exist."""

    name: str
    champion: SolverVersion | None
    faithful: SolverVersion | None

    @classmethod
    def of(cls, store: SolverStore, target: Target, steps: int) -> "Standing":
        """Raises StoreUnavailable, StoreDamaged."""
        name = store.name_of(target, steps)
        return cls(name, _pointed(store, name, CHAMPION), _pointed(store, name, FAITHFUL))

    def expected(self, alias: str) -> int | None:
        """The version that an alias points at, for compare-and-swap."""
        version = self.champion if alias == CHAMPION else self.faithful
        return None if version is None else version.version


@dataclass(frozen=True)
class Rivals:
    """Different tables of one step count; the first is what `auto` serves today."""

    contenders: tuple[Contender, ...]

    @property
    def served(self) -> Contender:
        return self.contenders[0]


def find_rivals(
    store: SolverStore,
    card: ModelCard,
    standing: Standing,
    classical: Sequence[Contender],
    steps: int,
    guidance_scale: float,
) -> Rivals:
    """What is served, the aliases' versions, the published tables of the card and of its schedule,
    and classical solvers.

    Raises StoreUnavailable, StoreDamaged.
    """
    found = [_selected(SolverSelector(store).select("auto", card, steps, guidance_scale))]
    found += [_stored(v) for v in (standing.champion, standing.faithful) if v is not None]
    for family in _published(card):
        published = _pointed(store, f"{family}-{steps}", CHAMPION)
        if published is not None:
            found.append(_stored(published))
    found += classical
    by_digest: dict[str, Contender] = {}
    for contender in found:
        if fits(contender.table, card.kind):
            by_digest.setdefault(contender.table.digest, contender)
    return Rivals(tuple(by_digest.values()))


def _published(card: ModelCard) -> tuple[str, ...]:
    """The families that `auto` may serve, and its schedule's where the card knows better."""
    return (*published_families(card), PUBLISHED_FAMILIES[card.schedule])


def best_classical(
    subject: Subject,
    default: str,
    steps: int,
    plan: EvaluationPlan,
    cache: Path | None,
    meter: Meter,
) -> list[Contender]:
    """The classical solvers nearest to the converged solution, and the default one.

    All of them, at uniform times and uniform log-SNR, are looked at on a few samples.
    Raises as `evaluate`.
    """
    kind = subject.problem.kind
    everyone = classical_contenders(kind, steps, with_uniform_lambda=True)
    if default not in (contender.name for contender in everyone):  # a variant, such as unipc's bh1
        everyone.append(Contender(default, classical_table(default, kind.schedule, steps)))
    unjudged = replace(subject, judge=None)
    screening = evaluate(unjudged, everyone, plan.screening(), cache, meter)
    errors = {
        contender.name: measurement.estimates[Metric.ENDPOINT_RMSE].value
        for contender, measurement in zip(everyone, screening.measurements, strict=True)
        if not measurement.num_broken
    }
    chosen = {*sorted(errors, key=lambda name: errors[name])[:NUM_CLASSICAL], default}
    return [contender for contender in everyone if contender.name in chosen]


def _pointed(store: SolverStore, name: str, alias: str) -> SolverVersion | None:
    try:
        return store.by_alias(name, alias)
    except VersionNotFound:
        return None


def _stored(version: SolverVersion) -> Contender:
    return Contender(f"{version.name}/{version.version}", version.table)


def _selected(solver: SelectedSolver) -> Contender:
    version = "" if solver.version is None else f"/{solver.version}"
    return Contender(solver.name + version, solver.table)
