"""A table beside its rivals on a real store: who they are, and what becomes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from diffusion_core.card import ModelCard
from diffusion_core.classic import classical_table
from diffusion_core.model import LoadedModel, ModelFolder, load_model
from search_jobs.assessment import Assessment, assess
from search_jobs.evaluate import EvaluationPlan, Meter, Metric, Subject
from search_jobs.rivals import Standing, best_classical, find_rivals
from search_jobs.spec import Promote
from solver_store.importing import import_published
from solver_store.records import Target
from solver_store.store import SolverStore
from solver_store.table import SolverTable
from tests.fakes import write_tiny_model

STEPS, SCALE = 6, 1.5
TARGET = Target("tiny", SCALE)
NAME = TARGET.solver_name(STEPS)
PLAN = EvaluationPlan(num_samples=40, num_endpoints=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return write_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def model(folder: ModelFolder) -> LoadedModel:
    return load_model(folder, torch.device("cpu"))


@pytest.fixture(scope="module")
def subject(model: LoadedModel, folder: ModelFolder) -> Subject:
    return Subject.of_model(model, folder, SCALE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SolverStore]:
    store = SolverStore.open(f"sqlite:///{tmp_path / 'store.db'}")
    import_published(store)
    yield store
    store.close()


def publish(store: SolverStore, table: SolverTable, alias: str | None, name: str = NAME) -> None:
    target = TARGET if name == NAME else None
    version = store.publish(name, table, source={}, target=target).version.version
    if alias is not None:
        expected = store.aliases(name).get(alias)
        store.promote(name, alias, version, expected=expected, by="test")


def rival_names(store: SolverStore, card: ModelCard) -> list[str]:
    standing = Standing.of(store, TARGET, STEPS)
    rivals = find_rivals(store, card, standing, [], STEPS, SCALE)
    return [contender.name for contender in rivals.contenders]


def test_without_a_champion_the_published_table_is_served(store, model) -> None:
    assert rival_names(store, model.card) == ["flowdcn-b-256-6/1"]


def test_aliases_published_and_served_are_all_rivals(store, model) -> None:
    publish(store, classical_table("ab3", "rectified-flow", STEPS), "champion")
    publish(store, classical_table("ab4", "rectified-flow", STEPS), "faithful")
    names = rival_names(store, model.card)
    assert names == [f"{NAME}/1", f"{NAME}/2", "flowdcn-b-256-6/1"]


def test_the_champion_of_the_nearest_guidance_scale_is_served(store, model) -> None:
    near = Target("tiny", 2.0)
    name = near.solver_name(STEPS)
    store.publish(name, classical_table("ab3", "rectified-flow", STEPS), source={}, target=near)
    store.promote(name, "champion", 1, expected=None, by="test")
    assert rival_names(store, model.card) == [f"{name}/1", "flowdcn-b-256-6/1"]
    assert Standing.of(store, TARGET, STEPS).expected("champion") is None


def test_the_families_of_the_card_are_rivals_beside_that_of_the_schedule(store, model) -> None:
    card = model.card.model_copy(update={"published_families": ("sit-xl-256",)})
    assert rival_names(store, card) == ["sit-xl-256-6/1", "flowdcn-b-256-6/1"]


def test_one_table_is_one_rival(store, model) -> None:
    publish(store, classical_table("ab3", "rectified-flow", STEPS), "champion")
    publish(store, classical_table("ab3", "rectified-flow", STEPS), "faithful")
    assert rival_names(store, model.card) == [f"{NAME}/1", "flowdcn-b-256-6/1"]


def test_the_best_classical_solvers_are_the_nearest_to_the_converged_solution(
    subject, cache
) -> None:
    chosen = best_classical(subject, "ab2", STEPS, PLAN, cache, Meter())
    names = {contender.name for contender in chosen}
    assert "ab2" in names
    assert 2 <= len(names) <= 3
    assert not names & {"euler", "ddim", "heun"}


def test_a_default_that_is_a_variant_of_a_classical_solver_is_looked_at_too(subject, cache) -> None:
    chosen = best_classical(subject, "unipc-3-bh1", STEPS, PLAN, cache, Meter())
    assert "unipc-3-bh1" in {contender.name for contender in chosen}


def test_what_is_left_is_known_before_the_rivals_are(subject, model, store, tmp_path) -> None:
    told: list[tuple[int, int, str]] = []
    table = classical_table("ab3", "rectified-flow", STEPS)
    plan = EvaluationPlan(num_samples=240, num_endpoints=40)
    meter = Meter(lambda *report: told.append(report))
    assess(subject, model.card, store, table, plan, cache=tmp_path, meter=meter)
    totals = [total for _, total, _ in told[:-1]]
    assert totals == [totals[0]] * len(totals)
    before = max(done / total for done, total, what in told if what == "deis-3-lambda")
    assert before < 0.5 < told[-2][0] / totals[-1] <= 1
    assert told[-1][0] == told[-1][1], "it ends at 100 %"


@pytest.fixture
def assessed(subject, model, store, cache):
    def run(table: SolverTable, promote: Promote = Promote.IF_BETTER) -> Assessment:
        return assess(subject, model.card, store, table, PLAN, promote=promote, cache=cache)

    return run


def test_what_loses_is_told_and_not_promoted(assessed) -> None:
    assessment = assessed(classical_table("euler", "rectified-flow", STEPS))
    assert assessment.promotions == ()
    assert assessment.decision.startswith("Not champion: its endpoint error is ")
    assert "Not faithful: " in assessment.decision
    details = assessment.evidence.details
    assert [d["promote"] for d in details["decisions"]] == [False, False]
    assert "flowdcn-b-256-6/1" in {rival["name"] for rival in details["rivals"]}
    assert assessment.evidence.metrics[Metric.ENDPOINT_RMSE] > 0


def test_what_wins_moves_both_aliases_if_they_still_stand_where_they_did(
    assessed, store, subject, monkeypatch
) -> None:
    publish(store, classical_table("euler", "rectified-flow", STEPS), "champion")
    # Against weak rivals only: the winner is then known without knowing the tiny model.
    monkeypatch.setattr("search_jobs.rivals._published", lambda card: ())
    monkeypatch.setattr("search_jobs.assessment.best_classical", lambda *_: [])
    assessment = assessed(classical_table("unipc-3", "rectified-flow", STEPS))
    moves = [(p.alias, p.expected, p.note) for p in assessment.promotions]
    champion, faithful = (d["why"] for d in assessment.evidence.details["decisions"])
    assert moves == [("champion", 1, champion), ("faithful", None, faithful)]
    assert assessment.decision == f"{champion} {faithful}"
    assert champion.startswith("Champion: its endpoint error is ")
    assert f"that of {NAME}/1" in champion


def test_nothing_is_promoted_where_that_was_asked(assessed, store, monkeypatch) -> None:
    publish(store, classical_table("euler", "rectified-flow", STEPS), "champion")
    monkeypatch.setattr("search_jobs.rivals._published", lambda card: ())
    monkeypatch.setattr("search_jobs.assessment.best_classical", lambda *_: [])
    assessment = assessed(classical_table("unipc-3", "rectified-flow", STEPS), Promote.NEVER)
    assert assessment.promotions == ()
    assert assessment.decision.startswith("Nothing is promoted, as asked. Champion: ")
