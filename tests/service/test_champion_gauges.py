"""Champions at every scrape: which version, the one before, since when; and few questions asked."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service import champion_gauges
from service.champion_gauges import ChampionGauges
from solver_store.errors import StoreUnavailable
from solver_store.records import CHAMPION, FAITHFUL, AliasMove, Target
from solver_store.store import SolverStore
from tests.service.searches import euler

LABELS = {"model": "m", "steps": "4", "solver": "m-g1.5-4"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SolverStore]:
    with closing(SolverStore.open(f"sqlite:///{tmp_path}/store.db")) as opened:
        yield opened


@pytest.fixture
def registry(store: SolverStore) -> CollectorRegistry:
    gauges = CollectorRegistry()
    gauges.register(ChampionGauges(store, {"m"}))
    return gauges


def publish(store: SolverStore, steps: int, model: str = "m") -> str:
    target = Target(model, 1.5)
    name = target.solver_name(steps)
    store.publish(name, euler(steps), source={"kind": "test"}, target=target)
    return name


def promote(
    store: SolverStore, name: str, alias: str, version: int, expected: int | None
) -> AliasMove:
    return store.promote(name, alias, version, expected=expected, by="test")


def test_a_promotion_shows_with_its_time_and_what_was_before(
    store: SolverStore, registry: CollectorRegistry
) -> None:
    name = publish(store, 4)
    first = promote(store, name, CHAMPION, 1, None)
    promote(store, name, FAITHFUL, 1, None)
    moved_at = "fewstep_champion_moved_timestamp_seconds"
    assert registry.get_sample_value("fewstep_champion_version", LABELS) == 1
    assert registry.get_sample_value("fewstep_champion_previous_version", LABELS) is None
    assert registry.get_sample_value(moved_at, LABELS) == first.moved_at.timestamp()
    other = replace(euler(4), carry=(0.5, 1.0, 1.0, 1.0))
    store.publish(name, other, source={"kind": "test"}, target=Target("m", 1.5))
    second = promote(store, name, CHAMPION, 2, 1)
    assert registry.get_sample_value("fewstep_champion_version", LABELS) == 2
    assert registry.get_sample_value("fewstep_champion_previous_version", LABELS) == 1
    assert registry.get_sample_value(moved_at, LABELS) == second.moved_at.timestamp()


def test_names_without_a_champion_and_other_models_are_not_told(
    store: SolverStore, registry: CollectorRegistry
) -> None:
    publish(store, 4)
    promote(store, publish(store, 4, "other"), CHAMPION, 1, None)
    [version] = [f for f in registry.collect() if f.name == "fewstep_champion_version"]
    assert version.samples == []


def test_no_more_names_are_told_than_a_bound(
    store: SolverStore, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(champion_gauges, "MAX_CHAMPIONS", 2)
    for steps in (4, 5, 6):
        promote(store, publish(store, steps), CHAMPION, 1, None)
    [version] = [f for f in registry.collect() if f.name == "fewstep_champion_version"]
    assert [sample.labels["steps"] for sample in version.samples] == ["6", "5"]


def test_the_database_is_asked_again_only_when_it_has_changed(
    store: SolverStore, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(store, publish(store, 4), CHAMPION, 1, None)
    [*registry.collect()]
    monkeypatch.setattr(store, "solvers", lambda: pytest.fail("asked again"))
    assert registry.get_sample_value("fewstep_champion_version", LABELS) == 1


def test_a_model_that_comes_later_brings_its_champions_along(store: SolverStore) -> None:
    promote(store, publish(store, 4), CHAMPION, 1, None)
    models: set[str] = set()
    registry = CollectorRegistry()
    registry.register(ChampionGauges(store, models))
    assert registry.get_sample_value("fewstep_champion_version", LABELS) is None
    models.add("m")
    assert registry.get_sample_value("fewstep_champion_version", LABELS) == 1


def test_without_its_database_a_scrape_tells_the_rest(
    store: SolverStore, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> int:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "revision", away)
    assert [*registry.collect()] == []
