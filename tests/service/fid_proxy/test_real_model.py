"""The proxy of the bundled model: it sees a worse solver, and damage."""

import math

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

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("as_on_the_engine_thread"),
]


@pytest.fixture(scope="module")
def folder() -> ModelFolder:
    return find_models(BUNDLED_MODELS)["glyphs"]


@pytest.fixture(scope="module")
def glyphs(folder: ModelFolder) -> LoadedModel:
    return load_model(folder, torch.device("cpu"))


@pytest.fixture(scope="module")
def judge(folder: ModelFolder) -> Judge:
    return load_judge(folder)


def champion() -> SolverTable:
    file = BUNDLED_MODELS / "glyphs" / SHIPPED_SOLVERS / "glyphs-g1.3-4-v1.json"
    return ShippedSolver.read(file).table


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


@pytest.fixture(scope="module")
def proxy(glyphs: LoadedModel, judge: Judge) -> FidProxy:
    proxy = FidProxy()
    proxy.watch(glyphs, judge)
    return proxy


@pytest.fixture(scope="module")
def before(glyphs: LoadedModel, proxy: FidProxy) -> Reading:
    """Of the shipped solver: 19 offline."""
    with torch.inference_mode():
        return watch(glyphs, proxy, "auto", champion())


def test_a_worse_solver_shows_within_320_pictures(
    glyphs: LoadedModel, proxy: FidProxy, before: Reading
) -> None:
    euler = classical_table("euler", "rectified-flow", STEPS)  # more than 117 offline
    worse = watch(glyphs, proxy, "euler", euler)
    assert worse.distance - before.distance > math.hypot(before.margin, worse.margin)


def test_damaged_weights_show_within_320_pictures(
    glyphs: LoadedModel, proxy: FidProxy, before: Reading
) -> None:
    after = watch(damaged(glyphs, 0.2), proxy, "auto", champion(), first_seed=1000)
    assert after.distance - before.distance > math.hypot(before.margin, after.margin)
