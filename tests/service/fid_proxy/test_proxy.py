"""Pictures go into an engine and a proxy comes out: does it see what is better and what broke?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from diffusion_core.classic import classical_table
from diffusion_core.model import LoadedModel
from diffusion_core.program import compile_program
from diffusion_core.quality import Judge
from service.engine.requests import ImageRequest, Watched
from service.fid_proxy import register
from service.fid_proxy.proxy import MAX_WAITING, Fate, FidProxy, Work
from service.fid_proxy.register import Standing
from service.fid_proxy.samples import Reading, Series, Source

from .judged import NUM_FEATURES, damaged, make, requests

WINDOW = 8 * NUM_FEATURES

pytestmark = pytest.mark.usefixtures("as_on_the_engine_thread")


@pytest.fixture
def proxy(tiny: LoadedModel, judge: Judge) -> FidProxy:
    watching = FidProxy()
    watching.watch(tiny, judge)
    return watching


def standing(proxy: FidProxy, solver: str, steps: int) -> Standing:
    return proxy.standings[Series("tiny", solver, steps, Source.LIVE)]


def reading(proxy: FidProxy, solver: str, steps: int) -> Reading:
    found = standing(proxy, solver, steps).reading
    assert found is not None
    return found


def is_beyond(after: Reading, before: Reading) -> bool:
    """Whether it has risen by more than both margins together."""
    return after.distance - before.distance > np.hypot(after.margin, before.margin)


def overshooting(model: LoadedModel, seeds: range) -> list[ImageRequest]:
    """By another table under the same name: ab2 with weights three times too large."""
    table = classical_table("ab2", "rectified-flow", 4)
    weights = tuple(tuple(3 * weight for weight in row) for row in table.weights)
    broken = replace(table, weights=weights)
    made_by, watched = compile_program(broken, model.card.kind), Watched("ab2", broken.digest)
    images = requests(model, "ab2", 4, seeds)
    return [replace(image, program=made_by, watched=watched) for image in images]


def test_a_damaged_model_raises_the_proxy_beyond_its_margin_within_half_a_window(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    make(tiny, proxy, requests(tiny, "ab2", 4, range(WINDOW)))
    before = reading(proxy, "ab2", 4)
    make(damaged(tiny, 0.3), proxy, requests(tiny, "ab2", 4, range(1000, 1000 + WINDOW // 2)))
    assert is_beyond(reading(proxy, "ab2", 4), before)


def test_a_damaged_solver_raises_the_proxy_beyond_its_margin_within_one_window(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    make(tiny, proxy, requests(tiny, "ab2", 4, range(WINDOW)))
    before = reading(proxy, "ab2", 4)
    make(tiny, proxy, overshooting(tiny, range(1000, 1000 + WINDOW)))
    assert standing(proxy, "ab2", 4).previous == before
    assert is_beyond(reading(proxy, "ab2", 4), before)


def test_a_better_solver_lowers_the_proxy_beyond_its_margin_within_one_window(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    make(tiny, proxy, overshooting(tiny, range(WINDOW)))
    before = reading(proxy, "ab2", 4)
    make(tiny, proxy, requests(tiny, "ab2", 4, range(1000, 1000 + WINDOW)))
    assert is_beyond(before, reading(proxy, "ab2", 4))


def test_there_is_no_value_below_the_minimum(tiny: LoadedModel, proxy: FidProxy) -> None:
    few = 2 * NUM_FEATURES - 1
    make(tiny, proxy, requests(tiny, "ab2", 2, range(few)))
    found = standing(proxy, "ab2", 2)
    assert (found.num_samples, found.reading) == (few, None)


def test_pictures_of_one_class_are_no_value_however_many(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    make(tiny, proxy, requests(tiny, "ab2", 2, range(0, 4 * WINDOW, 4)))
    assert standing(proxy, "ab2", 2).reading is None


def test_late_pictures_of_the_former_table_are_left_out(tiny: LoadedModel, proxy: FidProxy) -> None:
    [image] = requests(tiny, "ab2", 2, range(1))
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    promoted = replace(image, watched=Watched("ab2", "promoted"))
    seen = ((image, 1e9), (promoted, 2e9), (image, 1.5e9), (promoted, 3e9))
    for seed, (entry, submitted_at) in enumerate(seen):
        proxy.see(replace(entry, seed=seed), pixels, submitted_at, False)
        proxy.when_idle()
    found = standing(proxy, "ab2", 2)
    assert (found.maker[1], found.num_samples) == ("promoted", 2)


def test_the_same_pictures_again_are_no_evidence_however_often(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    once = requests(tiny, "ab2", 2, range(4))  # one of each class
    make(tiny, proxy, once * 81)
    found = standing(proxy, "ab2", 2)
    assert (found.num_samples, found.reading) == (4, None)
    assert proxy.fates["tiny", Source.LIVE, Fate.JUDGED] == 4
    assert proxy.fates["tiny", Source.LIVE, Fate.REPEATED] == 4 * 80


def test_pictures_of_other_seeds_are_evidence(tiny: LoadedModel, proxy: FidProxy) -> None:
    make(tiny, proxy, requests(tiny, "ab2", 2, range(4 * 81)))
    assert reading(proxy, "ab2", 2).margin > 0
    assert proxy.fates["tiny", Source.LIVE, Fate.JUDGED] == 4 * 81
    assert proxy.fates["tiny", Source.LIVE, Fate.REPEATED] == 0


def test_the_same_picture_by_another_table_is_another_picture(
    tiny: LoadedModel, proxy: FidProxy
) -> None:
    [image] = requests(tiny, "ab2", 2, range(1))
    promoted = replace(image, watched=Watched("ab2", "promoted"))
    for submitted_at, entry in enumerate((image, promoted)):
        proxy.see(entry, np.zeros((8, 8, 3), dtype=np.uint8), submitted_at + 1e9, False)
    assert proxy.fates["tiny", Source.LIVE, Fate.REPEATED] == 0


def test_pictures_that_would_have_to_wait_are_dropped(tiny: LoadedModel, proxy: FidProxy) -> None:
    for image in requests(tiny, "ab2", 2, range(MAX_WAITING + 5)):
        proxy.see(image, np.zeros((8, 8, 3), dtype=np.uint8), 1e9, False)
    assert proxy.fates["tiny", Source.LIVE, Fate.DROPPED] == 5


def test_judging_keeps_within_its_share_of_the_time(
    tiny: LoadedModel, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, now = FidProxy(share=0.01), [0.0]
    proxy.watch(tiny, judge)

    def features(observatory: object, samples: Sequence[object]) -> torch.Tensor:
        now[0] += 0.005  # what a slice takes
        return torch.zeros(len(samples), NUM_FEATURES)

    monkeypatch.setattr("service.fid_proxy.proxy._features", features)
    monkeypatch.setattr("service.fid_proxy.proxy.time.monotonic", lambda: now[0])
    for image in requests(tiny, "ab2", 2, range(10_000)):
        proxy.see(image, np.zeros((8, 8, 3), dtype=np.uint8), 1e9, False)
        proxy.after_step(0.01, background=False)  # 100 s in all
    assert 0.9 < proxy.seconds[Work.JUDGING] <= 1.0 + 0.005


def test_what_nobody_asks_for_makes_room_and_no_more_series_are_held_than_that(
    tiny: LoadedModel, proxy: FidProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "MAX_SERIES", 2)
    now = [0.0]
    monkeypatch.setattr(register.time, "monotonic", lambda: now[0])
    for solver in ("euler", "ab2", "ab3"):
        [image] = requests(tiny, solver, 2, range(1))
        proxy.see(image, np.zeros((8, 8, 3), dtype=np.uint8), 0.0, False)
        proxy.when_idle()
    assert {series.solver for series in proxy.standings} == {"euler", "ab2"}
    now[0] = register.STALE_S + 1
    proxy.see(image, np.zeros((8, 8, 3), dtype=np.uint8), now[0], False)
    proxy.when_idle()
    assert {series.solver for series in proxy.standings} == {"ab3"}
