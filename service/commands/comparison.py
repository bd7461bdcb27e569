"""Solvers compared on a model: which ones, at which step counts, and what came out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from diffusion_core.card import ModelCard
from diffusion_core.errors import TableMismatch
from diffusion_core.host import keep_freed_memory
from diffusion_core.model import ModelFolder, load_model
from diffusion_core.registry import choose_models, find_device, find_model
from diffusion_core.select import SolverSelector
from search_jobs.evaluate import (
    Contender,
    Evaluation,
    Measurement,
    Meter,
    Subject,
    Tell,
    classical_contenders,
    evaluate,
    published_contenders,
    stored_contenders,
)
from search_jobs.settings import WorkerSettings
from solver_store.importing import import_published
from solver_store.shipped import import_shipped
from solver_store.store import SolverStore

from .common import CommandFailed


@dataclass(frozen=True)
class Question:
    """What is to be compared."""

    model: str | None  # None: the first at hand
    steps: tuple[int, ...]
    guidance_scale: float | None  # None: the model's
    num_samples: int
    solvers: tuple[str, ...] | None  # None: all that there are


@dataclass(frozen=True)
class Comparison:
    """Every contender with what was measured."""

    subject: Subject
    evaluation: Evaluation
    contenders: tuple[Contender, ...]  # by steps, in the order of the measurements

    def of_steps(self, steps: int) -> list[tuple[Contender, Measurement]]:
        pairs = zip(self.contenders, self.evaluation.measurements, strict=True)
        return [pair for pair in pairs if pair[0].table.nfe == steps]

    @property
    def step_counts(self) -> list[int]:
        return list(dict.fromkeys(contender.table.nfe for contender in self.contenders))


def compare(settings: WorkerSettings, question: Question, tell: Tell) -> Comparison:
    """Measure all contenders; tell is told of every forward.

    Raises CommandFailed, ModelNotFound, ModelInvalid, InvalidReference, VersionNotFound,
    TableMismatch, StoreUnavailable, and what `evaluate` raises.
    """
    keep_freed_memory()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = find_device(settings.device, CommandFailed)
    folder = _folder(settings, question.model)
    scale = question.guidance_scale
    scale = folder.card.default_guidance_scale if scale is None else scale
    model = load_model(folder, device)
    with _open_store(settings) as store:
        import_shipped(store, folder.path, model.digest)
        contenders = _contenders(store, folder.card, question, scale)
    subject = Subject.of_model(model, folder, scale)
    plan = subject.plan(question.num_samples)
    evaluation = evaluate(subject, contenders, plan, settings.cache, Meter(tell))
    return Comparison(subject, evaluation, tuple(contenders))


def _folder(settings: WorkerSettings, model: str | None) -> ModelFolder:
    if model is None:
        return choose_models(settings.home, settings.models)[0]
    return find_model(settings.home, settings.models, model)


@contextmanager
def _open_store(settings: WorkerSettings) -> Iterator[SolverStore]:
    """The same store as the server's, with the published tables in it."""
    settings.home.mkdir(parents=True, exist_ok=True)
    store = SolverStore.open(settings.database)
    try:
        import_published(store)
        yield store
    finally:
        store.close()


def _contenders(
    store: SolverStore, card: ModelCard, question: Question, scale: float
) -> list[Contender]:
    if question.solvers is not None:
        return _referenced(store, card, question, scale, question.solvers)
    return [
        contender
        for steps in question.steps
        for contender in (
            *classical_contenders(card.kind, steps),
            *published_contenders(card.kind, steps),
            *stored_contenders(store, card.name, card.kind, steps, scale),
        )
    ]


def _referenced(
    store: SolverStore,
    card: ModelCard,
    question: Question,
    scale: float,
    references: tuple[str, ...],
) -> list[Contender]:
    """A solver that is not there at one of the step counts must be at another."""
    if not references:
        raise CommandFailed("--solvers names none")
    selector = SolverSelector(store)
    found: dict[tuple[int, str], Contender] = {}
    for reference in references:
        refusals = []
        for steps in question.steps:
            try:
                selected = selector.select(reference, card, steps, scale)
            except TableMismatch as error:
                refusals.append(error)
                continue
            version = "" if selected.version is None else f"/{selected.version}"
            contender = Contender(selected.name + version, selected.table)
            found.setdefault((steps, contender.name), contender)
        if len(refusals) == len(question.steps):
            raise refusals[0]
    return sorted(found.values(), key=lambda contender: question.steps.index(contender.table.nfe))
