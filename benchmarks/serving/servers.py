"""The servers that are measured, each in a process of its own on a free port."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from diffusion_core.card import ModelCard
from diffusion_core.folders import BUNDLED_MODELS
from diffusion_core.model import (
    LoadedModel,
    ModelFolder,
    find_models,
    get_model,
    load_model,
)

from ..processes import Server, free_port, serving

MODEL = "glyphs"
GENERATE = "/generate"
PREDICT = "/predict"  # LitServe's
SERVERS = "benchmarks.serving"


def bundled_model(dtype: torch.dtype = torch.float32) -> LoadedModel:
    """The network that is served, for offline use in this process."""
    return load_model(_folder(), torch.device("cpu"), dtype)


def bundled_card() -> ModelCard:
    return _folder().card


@cache
def _folder() -> ModelFolder:
    return get_model(find_models(BUNDLED_MODELS), MODEL)


@contextmanager
def fewstep(max_rows: int | None = None) -> Iterator[Server]:
    """`fewstep serve` on the CPU with an empty data folder and settings of its own."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("fewstep")), "serve", "--port", str(port)]
    if max_rows is not None:
        command += ["--max-rows", str(max_rows)]
    with (
        TemporaryDirectory() as home,
        serving(command, port, "/readyz", settings_variables(Path(home))) as server,
    ):
        yield server


def settings_variables(home: Path) -> dict[str, str]:
    """Serving alone is measured: no searches beside it."""
    return {
        "FEWSTEP_HOME": str(home),
        "FEWSTEP_DEVICE": "cpu",
        "FEWSTEP_MODELS": MODEL,
        "FEWSTEP_WORKERS": "0",
    }


@contextmanager
def stub() -> Iterator[Server]:
    """Our server, its network replaced by one that returns its input."""
    port = free_port()
    command = (sys.executable, "-m", f"{SERVERS}.stub_server", "--port", str(port))
    with (
        TemporaryDirectory() as home,
        serving(command, port, "/readyz", settings_variables(Path(home))) as server,
    ):
        yield server


@contextmanager
def bare(answer_bytes: int) -> Iterator[Server]:
    """FastAPI that reads the same body and returns so many bytes."""
    port = free_port()
    command = (sys.executable, "-m", f"{SERVERS}.bare_server", "--port", str(port))
    sized = (*command, "--answer-bytes", str(answer_bytes))
    with serving(sized, port, "/readyz") as server:
        yield server


@contextmanager
def static_batching(images_per_batch: int) -> Iterator[Server]:
    """LitServe around a pipeline, at most so many images in a batch."""
    port = free_port()
    command = (sys.executable, "-m", f"{SERVERS}.static_server", "--port", str(port))
    sized = (*command, "--images-per-batch", str(images_per_batch))
    with serving(sized, port, "/health") as server:
        yield server
