from collections.abc import Iterator

import pytest
import torch

from diffusion_core.model import LoadedModel
from diffusion_core.quality import Judge
from tests.service.engine.conftest import program, request_for, tiny

from .judged import judge_of

__all__ = ["program", "request_for", "tiny"]


@pytest.fixture(scope="session")
def judge(tiny: LoadedModel) -> Judge:
    return judge_of(tiny)


@pytest.fixture
def as_on_the_engine_thread() -> Iterator[None]:
    with torch.inference_mode():
        yield
