"""The proxy of the bundled model: it ranks solvers as their evidence does, and sees damage."""

import math
from collections.abc import Iterator

import pytest
import torch

from diffusion_core.classic import classical_table
from diffusion_core.folders import BUNDLED_MODELS
from diffusion_core.model import LoadedModel, ModelFolder, find_models, load_model
from diffusion_core.program import compile_program
from diffusion_core.quality import Judge, load_judge
from service.engine.requests import ImageRequest, Watched
from service.fid_proxy.proxy import FidProxy
from service.fid_proxy.samples import Reading, Series, Source
from solver_store.shipped import SHIPPED_SOLVERS, ShippedSolver
from solver_store.table import SolverTable
from tests.service.engine.conftest import HandCranked

from .judged import damaged

STEPS = 4
NUM_IMAGES = 320  # a little more than the minimum of 256, by the age of which they weigh less

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder() -> ModelFolder:
    return find_models(BUNDLED_MODELS)["glyphs"]


@pytest.fixture(scope="module")
def glyphs(folder: ModelFolder) -> LoadedModel:
    return load_model(folder, torch.device("cpu"))


@pytest.fixture(scope="module")
def judge(folder: ModelFolder) -> Judge:
    return load_judge(folder)


@pytest.fixture(autouse=True)
def _as_on_the_engine_thread() -> Iterator[None]:
    with torch.inference_mode():
        yield


def tables() -> dict[str, SolverTable]:
    """Offline, at guidance 1.3: the shipped one 19, ab2 65, euler 117 and more."""
    file = BUNDLED_MODELS / "glyphs" / SHIPPED_SOLVERS / "glyphs-g1.3-4-v1.json"
    champion = ShippedSolver.read(file).table
    classical = {name: classical_table(name, "rectified-flow", STEPS) for name in ("ab2", "euler")}
    return {"glyphs-g1.3-4": champion, **classical}


def watch(
    model: LoadedModel, proxy: FidProxy, solver: str, table: SolverTable, first_seed: int = 0
) -> Reading:
    """What the proxy tells of pictures of all classes in turn."""
    program, watched = compile_program(table, model.card.kind), Watched(solver, table.digest)
    engine = HandCranked([model], queue_rows=100_000, max_rows=16, spare_time=proxy)
    for seed in range(first_seed, first_seed + NUM_IMAGES, 8):
        images = [
            ImageRequest("glyphs", program, s % 36, 1.3, s, watched=watched)
            for s in range(seed, seed + 8)
        ]
        engine.submit(images, lambda event: None)
        engine.crank_until_idle()
        while proxy.when_idle():
            pass
    reading = proxy.standings[Series("glyphs", solver, STEPS, Source.LIVE)].reading
    assert reading is not None
    return reading


def test_solvers_rank_as_their_evidence_has_it(glyphs: LoadedModel, judge: Judge) -> None:
    proxy = FidProxy()
    proxy.watch(glyphs, judge)
    champion, ab2, euler = (
        watch(glyphs, proxy, solver, table) for solver, table in tables().items()
    )
    assert champion.distance < ab2.distance < euler.distance
    assert euler.distance - champion.distance > math.hypot(champion.margin, euler.margin)


def test_damaged_weights_show_within_320_pictures(glyphs: LoadedModel, judge: Judge) -> None:
    proxy, table = FidProxy(), tables()["glyphs-g1.3-4"]
    proxy.watch(glyphs, judge)
    before = watch(glyphs, proxy, "auto", table)
    after = watch(damaged(glyphs, 0.2), proxy, "auto", table, first_seed=1000)
    assert after.distance - before.distance > math.hypot(before.margin, after.margin)
