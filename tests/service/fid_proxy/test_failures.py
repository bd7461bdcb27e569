"""A judge that fails: the pictures are made, the other models watched, and somebody is told."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from prometheus_client import CollectorRegistry, generate_latest

from diffusion_core.model import LoadedModel
from diffusion_core.quality import Judge
from service.fid_proxy.failures import IN_A_ROW
from service.fid_proxy.gauges import FidGauges
from service.fid_proxy.proxy import EVALUATE_EVERY, Fate, FidProxy
from service.fid_proxy.samples import Series, Source

from .judged import Projections, make, requests

ONE_BATCH = 4

pytestmark = pytest.mark.usefixtures("as_on_the_engine_thread")


class Moody(Projections):
    """Fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = True

    def features(self, images: torch.Tensor) -> torch.Tensor:
        if self.fails:
            raise RuntimeError("no")
        return super().features(images)


@pytest.fixture
def moody() -> Moody:
    return Moody()


@pytest.fixture
def proxy(tiny: LoadedModel, judge: Judge, moody: Moody) -> FidProxy:
    watching = FidProxy()
    watching.watch(tiny, Judge(moody, judge.reference))
    return watching


@pytest.fixture
def batches(tiny: LoadedModel, proxy: FidProxy) -> Callable[[int], None]:
    """Serves so many batches of new pictures, and lets the proxy judge each."""
    seen = 0

    def serve(count: int) -> None:
        nonlocal seen
        for _ in range(count):
            make(tiny, proxy, requests(tiny, "ab2", 2, range(seen, seen + ONE_BATCH)))
            seen += ONE_BATCH

    return serve


def told(proxy: FidProxy) -> str:
    registry = CollectorRegistry()
    registry.register(FidGauges(proxy, lambda: None))
    return generate_latest(registry).decode()


def test_a_batch_that_fails_is_given_up_and_the_next_one_judged(
    proxy: FidProxy,
    moody: Moody,
    batches: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    batches(1)
    moody.fails = False
    batches(1)
    assert proxy.fates["tiny", Source.LIVE, Fate.JUDGED] == ONE_BATCH
    assert "judging the pictures of tiny failed" in caplog.text
    assert "RuntimeError: no" in caplog.text


def test_a_model_whose_judge_fails_three_times_in_a_row_is_not_watched_any_more(
    proxy: FidProxy, batches: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    batches(IN_A_ROW - 1)
    assert proxy.watched_models == ("tiny",)
    batches(IN_A_ROW)
    assert proxy.watched_models == ()
    assert proxy.failures.total["tiny"] == IN_A_ROW
    assert "not judged until it is loaded again" in caplog.text


def test_what_waits_for_a_judge_that_is_given_up_waits_no_more(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    make(tiny, proxy, requests(tiny, "ab2", 2, range((IN_A_ROW + 1) * ONE_BATCH)))
    assert proxy.watched_models == ()
    assert proxy.failures.total["tiny"] == IN_A_ROW
    assert not proxy.when_idle()


def test_failures_with_a_success_between_are_not_in_a_row(
    proxy: FidProxy, moody: Moody, batches: Callable[[int], None]
) -> None:
    for fails in (True, True, False, True, True):
        moody.fails = fails
        batches(1)
    assert proxy.watched_models == ("tiny",)
    assert proxy.failures.total["tiny"] == 4


def test_the_other_models_are_watched_as_before(
    tiny: LoadedModel, judge: Judge, proxy: FidProxy, batches: Callable[[int], None]
) -> None:
    other = replace(tiny, card=tiny.card.model_copy(update={"name": "other"}))
    proxy.watch(other, judge)
    batches(IN_A_ROW)
    assert proxy.watched_models == ("other",)
    make(other, proxy, requests(other, "ab2", 2, range(ONE_BATCH)))
    assert proxy.fates["other", Source.LIVE, Fate.JUDGED] == ONE_BATCH


def test_a_model_that_is_loaded_again_is_watched_again(
    tiny: LoadedModel, judge: Judge, proxy: FidProxy, batches: Callable[[int], None]
) -> None:
    batches(IN_A_ROW)
    proxy.watch(tiny, judge)
    batches(1)
    assert proxy.watched_models == ("tiny",)
    assert proxy.fates["tiny", Source.LIVE, Fate.JUDGED] == ONE_BATCH


def test_an_evaluation_that_fails_tells_nothing_and_a_later_one_does(
    tiny: LoadedModel, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, series = FidProxy(), Series("tiny", "ab2", 2, Source.LIVE)
    proxy.watch(tiny, judge)
    make(tiny, proxy, requests(tiny, "ab2", 2, range(EVALUATE_EVERY)))
    assert proxy.standings[series].reading is not None
    with monkeypatch.context() as broken:
        broken.setattr(proxy._observatories["tiny"].distance, "_root", None)
        make(tiny, proxy, requests(tiny, "ab2", 2, range(EVALUATE_EVERY, 2 * EVALUATE_EVERY)))
    assert proxy.failures.total["tiny"] == 1
    assert proxy.standings[series].reading is None
    make(tiny, proxy, requests(tiny, "ab2", 2, range(2 * EVALUATE_EVERY, 3 * EVALUATE_EVERY)))
    assert proxy.standings[series].reading is not None


def test_failures_are_told_from_zero_on(proxy: FidProxy, batches: Callable[[int], None]) -> None:
    assert 'fewstep_fid_proxy_failures_total{model="tiny"} 0.0' in told(proxy)
    batches(1)
    assert 'fewstep_fid_proxy_failures_total{model="tiny"} 1.0' in told(proxy)
