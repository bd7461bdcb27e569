"""A request's solver reference -> the table for this model and step count, compiled.

auto             champion for (model, steps, nearest guidance), else the published family of the
                 model's card or schedule, else the best classical solver of the card
euler, ab2, …    classical solvers, at every step count
flowdcn-b-256    a family of names that end in their step count: takes the request's
everything else  the store's: a name (its champion), name@alias, name/3, sha256:…
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from solver_store.errors import VersionNotFound
from solver_store.records import SolverVersion
from solver_store.reference import (
    AutoReference,
    DigestReference,
    NameReference,
    StoredReference,
    parse_reference,
)
from solver_store.store import SolverStore
from solver_store.table import SolverTable

from .card import ModelCard
from .classic import classical_table, is_classical
from .errors import TableMismatch
from .program import NetworkKind, StepProgram, compile_program

# Where the store has no champion. On a trained network these halve the error of Adams-Bashforth;
# of the two rectified-flow families, the paper itself prefers FlowDCN-B's, on SiT as well.
PUBLISHED_FAMILIES = {
    "rectified-flow": "flowdcn-b-256",
    "vp": "dit-xl-256",
    "ddpm": "dit-xl-256",
}

MAX_REMEMBERED = 4096

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class SelectedSolver:
    """What a request will be sampled with."""

    name: str
    version: int | None  # None for classical solvers, which are not in the store
    digest: str
    table: SolverTable
    program: StepProgram


@dataclass(frozen=True)
class _Auto:
    """What `auto` goes by."""

    model: str
    guidance_scale: float
    families: tuple[str, ...]
    default_solver: str


@dataclass(frozen=True)
class _Question:
    """All that an answer depends on, and nothing else: equal questions have one answer."""

    reference: str
    kind: NetworkKind
    steps: int
    auto: _Auto | None  # None where another reference was given

    @classmethod
    def of(cls, reference: str, card: ModelCard, steps: int, guidance_scale: float) -> "_Question":
        auto = None
        if reference == "auto":
            families = published_families(card)
            auto = _Auto(card.name, guidance_scale, families, card.default_solver)
        return cls(reference, card.kind, steps, auto)


class SolverSelector:
    """Answers from memory until the store changes."""

    def __init__(self, store: SolverStore):
        self._store = store
        self._revision = store.revision()
        self._answers: dict[_Question, SelectedSolver] = {}
        self._programs: dict[tuple[str, NetworkKind], StepProgram] = {}

    def cached(
        self, reference: str, card: ModelCard, steps: int, guidance_scale: float
    ) -> SelectedSolver | None:
        """The answer if it is known already; never touches the database."""
        return self._answers.get(_Question.of(reference, card, steps, guidance_scale))

    def select(
        self, reference: str, card: ModelCard, steps: int, guidance_scale: float
    ) -> SelectedSolver:
        """Find and compile the solver that a reference means for this request.

        Raises InvalidReference, VersionNotFound, TableMismatch (the table has another NFE or
        schedule: it is refused, never bent), StoreUnavailable, StoreDamaged.
        """
        question = _Question.of(reference, card, steps, guidance_scale)
        answers = self._answers  # refresh() may swap it meanwhile: a late answer is then forgotten
        known = answers.get(question)
        if known is None:
            known = self._look_up(question)
            _remember(answers, question, known)
        return known

    def refresh(self) -> bool:
        """Forget all answers if the store has changed. Returns whether it had."""
        revision = self._store.revision()
        if revision == self._revision:
            return False
        self._revision, self._answers = revision, {}
        return True

    def _look_up(self, question: _Question) -> SelectedSolver:
        kind, steps = question.kind, question.steps
        if question.auto is not None:
            return self._automatic(question.auto, kind, steps)
        reference = parse_reference(question.reference)
        assert not isinstance(reference, AutoReference)
        if not isinstance(reference, DigestReference) and is_classical(reference.name):
            return self._classical(_only_named(reference), kind, steps)
        return self._stored(self._resolve(reference, steps), kind, steps)

    def _automatic(self, auto: _Auto, kind: NetworkKind, steps: int) -> SelectedSolver:
        champion = self._store.champion(auto.model, steps, auto.guidance_scale)
        if champion is not None:
            with suppress(TableMismatch):  # won by another model that had the name before
                return self._stored(champion, kind, steps)
        for family in auto.families:
            # A name of the card's may be anybody's in the store: one for other networks, or none.
            with suppress(VersionNotFound, TableMismatch):
                return self._stored(self._store.by_alias(f"{family}-{steps}"), kind, steps)
        return self._classical(auto.default_solver, kind, steps)

    def _classical(self, name: str, kind: NetworkKind, steps: int) -> SelectedSolver:
        table = classical_table(name, kind.schedule, steps)
        return SelectedSolver(name, None, table.digest, table, self._compile(table, kind))

    def _stored(self, version: SolverVersion, kind: NetworkKind, steps: int) -> SelectedSolver:
        if version.table.nfe != steps:
            raise TableMismatch(
                f"{version.name} takes {version.table.nfe} steps, the request asks for {steps}"
            )
        program = self._compile(version.table, kind)
        return SelectedSolver(version.name, version.version, version.digest, version.table, program)

    def _resolve(self, reference: StoredReference, steps: int) -> SolverVersion:
        """A plain name that the store does not hold may be a family."""
        if not isinstance(reference, NameReference):
            return self._store.resolve(reference)
        family = reference.name
        members = self._members(family)
        if family in members or not members:
            return self._store.resolve(reference)
        name = f"{family}-{steps}"
        if name not in members:
            counts = ", ".join(str(count) for count in sorted(members.values()))
            raise TableMismatch(
                f"the family {family} has solvers of {counts} steps, the request asks for {steps}"
            )
        return self._store.by_alias(name)

    def _members(self, family: str) -> dict[str, int]:
        """Names of the family and their step counts; or the name itself, if it is one."""
        return {
            entry.name: entry.steps
            for entry in self._store.solvers()
            if entry.name in (family, f"{family}-{entry.steps}")
        }

    def _compile(self, table: SolverTable, kind: NetworkKind) -> StepProgram:
        """Compiled once: a table never changes."""
        return _remembered(
            self._programs, (table.digest, kind), lambda: compile_program(table, kind)
        )


def _only_named(reference: StoredReference) -> str:
    """The name of a classical solver. Raises VersionNotFound where more was asked for."""
    assert not isinstance(reference, DigestReference)
    if not isinstance(reference, NameReference):
        raise VersionNotFound(f"{reference.name} is classical: it has no versions and no aliases")
    return reference.name


def published_families(card: ModelCard) -> tuple[str, ...]:
    """Those that `auto` looks through; a card knows better where the model was measured."""
    if card.published_families is None:
        return (PUBLISHED_FAMILIES[card.schedule],)
    return card.published_families


def _remembered(memory: dict[K, V], key: K, make: Callable[[], V]) -> V:
    value = memory.get(key)
    if value is None:
        value = make()
        _remember(memory, key, value)
    return value


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= MAX_REMEMBERED:
        memory.clear()  # guidance scales are floats: a client can ask for any number of them
    memory[key] = value
