"""Who has a place among the series: what is asked for often, whatever else is asked for."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest

from diffusion_core.classic import CLASSICAL_SOLVERS
from diffusion_core.model import LoadedModel
from diffusion_core.quality import Judge
from service.engine.requests import ImageRequest, Watched
from service.fid_proxy import register
from service.fid_proxy.proxy import EVALUATE_EVERY, Fate, FidProxy
from service.fid_proxy.register import MAX_SERIES
from service.fid_proxy.samples import Reading, Series, Source

from .judged import make, requests

NEVER_STALE = 1e9

pytestmark = pytest.mark.usefixtures("as_on_the_engine_thread")


@pytest.fixture
def proxy(tiny: LoadedModel, judge: Judge) -> FidProxy:
    watching = FidProxy()
    watching.watch(tiny, judge)
    return watching


@pytest.fixture
def two_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "MAX_SERIES", 2)


def one_of_each(model: LoadedModel, count: int) -> list[ImageRequest]:
    """A picture each of so many solvers and step counts, as comparing them all asks for."""
    pairs = product(CLASSICAL_SOLVERS, range(2, 9))
    return [requests(model, solver, steps, range(1))[0] for solver, steps in islice(pairs, count)]


def show(proxy: FidProxy, images: Iterable[ImageRequest], source: Source = Source.LIVE) -> None:
    """Black pictures, one judged after another."""
    for image in images:
        pixels = np.zeros((8, 8, 3), dtype=np.uint8)
        proxy.see(image, pixels, NEVER_STALE, background=source is Source.CANARY)
        while proxy.when_idle():
            pass


def samples(proxy: FidProxy, source: Source = Source.LIVE) -> dict[str, int]:
    return {
        series.solver: standing.num_samples
        for series, standing in proxy.standings.items()
        if series.source is source
    }


def reading(proxy: FidProxy, solver: str) -> Reading | None:
    return proxy.standings[Series("tiny", solver, 2, Source.LIVE)].reading


def as_auto(images: list[ImageRequest]) -> list[ImageRequest]:
    """The same table under a champion's name."""
    return [replace(image, watched=Watched("champion", "its digest")) for image in images]


def test_comparing_all_solvers_once_does_not_blind_the_proxy(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    show(proxy, one_of_each(tiny, 54))
    make(tiny, proxy, as_auto(requests(tiny, "ab2", 2, range(EVALUATE_EVERY + 1))))
    assert reading(proxy, "champion") is not None


def test_no_request_takes_a_canary_its_place(tiny: LoadedModel, proxy: FidProxy) -> None:
    show(proxy, one_of_each(tiny, 3), Source.CANARY)
    show(proxy, one_of_each(tiny, 54) * 3)
    assert samples(proxy, Source.CANARY) == {"euler": 1}
    show(proxy, requests(tiny, "ab2", 2, range(2)), Source.CANARY)
    assert samples(proxy, Source.CANARY)["ab2"] == 2


def test_however_many_are_asked_for_no_more_series_are_told_than_there_are_places(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    for source in Source:
        show(proxy, one_of_each(tiny, 77), source)
    assert len(proxy.standings) == 2 * MAX_SERIES


@pytest.mark.usefixtures("two_places")
def test_the_series_of_the_fewest_pictures_makes_room(tiny: LoadedModel, proxy: FidProxy) -> None:
    for solver, count in (("euler", 3), ("ab2", 2), ("ab3", 3)):
        show(proxy, requests(tiny, solver, 2, range(count)))
    assert samples(proxy) == {"euler": 3, "ab3": 1}
    assert proxy.fates["tiny", Source.LIVE, Fate.DROPPED] == 2  # one for each of ab2's


@pytest.mark.usefixtures("two_places")
def test_of_those_with_as_few_the_one_that_nobody_asked_for_lately_makes_room(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    for age, solver in enumerate(("ab2", "euler", "ab3", "ab3")):
        image = replace(requests(tiny, solver, 2, range(1))[0], seed=age)
        proxy.see(image, pixels, NEVER_STALE - age, background=False)
        proxy.when_idle()
    assert samples(proxy) == {"ab2": 1, "ab3": 1}


@pytest.mark.usefixtures("two_places")
def test_what_tells_a_distance_stays_while_others_tell_none(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    make(tiny, proxy, requests(tiny, "ab2", 2, range(EVALUATE_EVERY)))
    assert reading(proxy, "ab2") is not None
    show(proxy, requests(tiny, "euler", 2, range(0, 800, 4)))  # of one class: they tell nothing
    show(proxy, one_of_each(tiny, 54) * 3)
    assert reading(proxy, "ab2") is not None


def test_the_places_of_a_model_that_leaves_are_free(
    tiny: LoadedModel, judge: Judge, proxy: FidProxy
) -> None:
    show(proxy, 2 * one_of_each(tiny, MAX_SERIES))
    proxy.forget("tiny")
    other = replace(tiny, card=tiny.card.model_copy(update={"name": "other"}))
    proxy.watch(other, judge)
    show(proxy, one_of_each(other, MAX_SERIES))
    assert proxy.fates["other", Source.LIVE, Fate.JUDGED] == MAX_SERIES
    assert {series.model for series in proxy._register._windows} == {"other"}


def test_what_waits_of_a_model_that_leaves_is_not_judged(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    [image] = one_of_each(tiny, 1)
    proxy.see(image, np.zeros((8, 8, 3), dtype=np.uint8), NEVER_STALE, background=False)
    proxy.forget("tiny")
    assert not proxy.when_idle()
    assert proxy.fates["tiny", Source.LIVE, Fate.JUDGED] == 0


@pytest.mark.parametrize(("digest", "is_kept"), [("other weights", True), (None, False)])
def test_a_model_that_comes_back_with_other_weights_is_told_beside_what_it_was(
    tiny: LoadedModel, judge: Judge, proxy: FidProxy, digest: str | None, is_kept: bool
) -> None:
    make(tiny, proxy, requests(tiny, "ab2", 2, range(EVALUATE_EVERY)))
    before = reading(proxy, "ab2")
    assert before is not None
    proxy.forget("tiny")
    proxy.watch(replace(tiny, digest=digest or tiny.digest), judge)
    show(proxy, requests(tiny, "ab2", 2, range(1)))
    found = proxy.standings[Series("tiny", "ab2", 2, Source.LIVE)]
    assert (found.num_samples, found.reading) == (1, None)
    assert found.previous == (before if is_kept else None)
