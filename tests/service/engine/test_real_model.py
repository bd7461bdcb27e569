"""The promise of the engine on the model that ships, with solvers of every kind."""

import numpy as np
import pytest
import torch

from diffusion_core.classic import classical_table
from diffusion_core.folders import BUNDLED_MODELS
from diffusion_core.model import LoadedModel, find_models, load_model
from diffusion_core.program import compile_program
from service.engine.requests import ImageRequest
from solver_store.published import published_tables
from tests.fakes import alone

# (solver, steps, class, guidance scale, seed)
TEN = [
    ("euler", 4, 7, 1.5, 1),
    ("heun", 5, 10, 1.0, 2),
    ("ab2", 8, 35, 2.5, 3),
    ("ab4", 6, 0, 1.0, 4),
    ("ddim", 3, 11, 1.5, 5),
    ("dpmpp-2m", 7, 22, 4.0, 6),
    ("dpmpp-3m-lambda", 6, 5, 1.5, 7),
    ("unipc-3", 8, 30, 0.0, 8),
    ("flowdcn-b-256", 10, 7, 1.5, 9),
    ("sit-xl-256", 5, 19, 1.0, 10),
]


@pytest.fixture(scope="module")
def glyphs() -> LoadedModel:
    return load_model(find_models(BUNDLED_MODELS)["glyphs"], torch.device("cpu"))


@pytest.fixture(scope="module")
def ten(glyphs: LoadedModel):
    published = {table.name: table.table for table in published_tables()}

    def make(deterministic: bool) -> list[ImageRequest]:
        requests = []
        for solver, steps, class_label, guidance_scale, seed in TEN:
            table = published.get(f"{solver}-{steps}") or classical_table(
                solver, "rectified-flow", steps
            )
            program = compile_program(table, glyphs.card.kind)
            requests.append(
                ImageRequest("glyphs", program, class_label, guidance_scale, seed, deterministic)
            )
        return requests

    return make


@pytest.fixture
def glyphs_engine(glyphs, hand_cranked):
    return hand_cranked([glyphs], queue_rows=10_000, max_rows=12)


def test_ten_mixed_requests_at_once_equal_each_alone(glyphs_engine, glyphs, ten, mailbox) -> None:
    box = mailbox()
    requests = ten(deterministic=False)
    glyphs_engine.submit(requests, box)
    glyphs_engine.crank_until_idle()
    for index, request in enumerate(requests):
        together = box.done[index].pixels.astype(int)
        assert np.abs(together - alone(glyphs, request)).max() <= 1, TEN[index]


def test_ten_deterministic_requests_at_once_equal_each_alone_bit_for_bit(
    glyphs_engine, ten, mailbox
) -> None:
    together = mailbox()
    requests = ten(deterministic=True)
    glyphs_engine.submit(requests, together)
    glyphs_engine.crank_until_idle()
    for index, request in enumerate(requests):
        by_itself = mailbox()
        glyphs_engine.submit([request], by_itself)
        glyphs_engine.crank_until_idle()
        assert np.array_equal(by_itself.done[0].pixels, together.done[index].pixels), TEN[index]
