"""Canaries fly only where they are of use and in nobody's way."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from diffusion_core.model import LoadedModel
from diffusion_core.quality import Judge
from diffusion_core.select import SolverSelector
from service.engine.engine import Engine
from service.fid_proxy import canaries as flights
from service.fid_proxy.canaries import FALLBACK_STEPS, LOOK_S, Canaries
from service.fid_proxy.gauges import FidGauges
from service.fid_proxy.proxy import Fate, FidProxy
from service.fid_proxy.samples import Source
from solver_store.records import CHAMPION, Target
from solver_store.store import SolverStore
from tests.service.engine.conftest import MakeRequest
from tests.service.searches import euler

from .judged import NUM_FEATURES

SHARE = 0.1


@pytest.fixture(scope="module")
def proxy(tiny: LoadedModel, judge: Judge) -> FidProxy:
    watching = FidProxy()
    watching.watch(tiny, judge)
    return watching


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SolverStore]:
    with closing(SolverStore.open(f"sqlite:///{tmp_path}/store.db")) as opened:
        yield opened


@pytest.fixture
def engine(tiny: LoadedModel, proxy: FidProxy) -> Iterator[Engine]:
    running = Engine(queue_rows=1000, max_rows=8, num_threads=1, spare_time=proxy)
    running.start()
    running.load(tiny)
    yield running
    running.stop()


@pytest.fixture
def canaries(tiny: LoadedModel, proxy: FidProxy, store: SolverStore, engine: Engine) -> Canaries:
    """Their thread is never started: tests look by hand."""
    return Canaries(engine, proxy, SolverSelector(store), store, lambda: {"tiny": tiny}, SHARE)


def judged(proxy: FidProxy) -> int:
    return proxy.fates["tiny", Source.CANARY, Fate.JUDGED]


def flown(canaries: Canaries, engine: Engine, proxy: FidProxy) -> int:
    """How many pictures two looks make: the first one may only begin another round."""
    before = judged(proxy)
    canaries.look()
    canaries.look()
    engine.probe(timeout_s=10)  # the judge has had his turn when this comes through
    engine.probe(timeout_s=10)
    return judged(proxy) - before


def test_without_a_reader_no_canary_flies(
    canaries: Canaries, engine: Engine, proxy: FidProxy
) -> None:
    assert flown(canaries, engine, proxy) == 0
    canaries.note_reader()
    assert flown(canaries, engine, proxy) == 1


def test_a_reader_who_has_left_counts_no_more(
    canaries: Canaries, engine: Engine, proxy: FidProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries.note_reader()
    monkeypatch.setattr(flights, "READ_LATELY_S", 0.0)
    assert flown(canaries, engine, proxy) == 0


def test_reading_the_figures_lets_canaries_fly_and_they_show(
    canaries: Canaries, engine: Engine, proxy: FidProxy
) -> None:
    registry = CollectorRegistry()
    registry.register(FidGauges(proxy, canaries.note_reader))
    generate_latest(registry)
    assert flown(canaries, engine, proxy) == 1
    told = generate_latest(registry).decode()
    assert "fewstep_fid_proxy_samples{" in told
    assert 'source="canary"' in told
    assert f'fewstep_fid_proxy_minimum{{model="tiny"}} {2 * NUM_FEATURES}.0' in told
    assert 'fewstep_fid_proxy_seconds_total{work="canary"}' in told


def test_no_canary_flies_while_requests_are_under_way(
    canaries: Canaries, engine: Engine, proxy: FidProxy, request_for: MakeRequest
) -> None:
    canaries.note_reader()
    canaries.look()
    engine.submit([request_for(steps=200)], lambda event: None)
    before = judged(proxy)
    assert canaries.look() == LOOK_S
    assert judged(proxy) == before


def test_canaries_watch_the_champions_of_the_default_guidance(
    canaries: Canaries, store: SolverStore, tiny: LoadedModel
) -> None:
    assert [perch.steps for perch in canaries._perches()] == [FALLBACK_STEPS]
    default = tiny.card.default_guidance_scale
    for steps, guidance_scale in ((4, default), (6, default), (5, default + 1)):
        target = Target("tiny", guidance_scale)
        name = target.solver_name(steps)
        store.publish(name, euler(steps), source={"kind": "test"}, target=target)
        store.promote(name, CHAMPION, 1, expected=None, by="test")
    assert [perch.steps for perch in canaries._perches()] == [4, 6]
    request = canaries._request(tiny.card, 6)
    assert request.watched is not None
    assert request.watched.solver == Target("tiny", default).solver_name(6)
    assert request.guidance_scale == default


def test_classes_and_seeds_are_drawn_anew(canaries: Canaries, tiny: LoadedModel) -> None:
    requests = [canaries._request(tiny.card, 4) for _ in range(60)]
    assert {request.class_label for request in requests} == {0, 1, 2, 3}
    assert len({request.seed for request in requests}) == 60


def test_a_pause_keeps_to_the_share(canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canaries, "_fly", lambda request: 2.0)
    canaries.note_reader()
    canaries.look()
    assert canaries.look() == pytest.approx(2.0 * (1 - SHARE) / SHARE)
