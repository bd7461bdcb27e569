"""What names the model of a run: two that draw other pictures never pass for one."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.processes import BenchmarkError
from benchmarks.reproduce.models import autoencoder_digest
from diffusion_core.conversion import Addition, add_model
from diffusion_core.model import ModelFolder
from tests.benchmarks.reproduce.conftest import checkpoint_of
from tests.diffusion_core.conversion.small import small

FAMILY = "sit-xl-2-256"


@pytest.fixture
def added(tmp_path: Path, vae: Path) -> ModelFolder:
    checkpoint = checkpoint_of(FAMILY, tmp_path)
    return add_model(tmp_path / "models", Addition(small(FAMILY), checkpoint, "added", vae))


def configure(folder: ModelFolder, **changes: Any) -> None:
    path = folder.path / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes))


@pytest.mark.parametrize("change", [{"scaling_factor": 0.13025}, {"shift_factor": 0.0609}])
def test_autoencoders_that_scale_otherwise_are_not_one(added: ModelFolder, change: Any) -> None:
    before = autoencoder_digest(added)
    configure(added, **change)
    assert autoencoder_digest(added) != before


def test_an_autoencoder_is_the_same_wherever_it_was(
    added: ModelFolder, tmp_path: Path, vae: Path
) -> None:
    elsewhere = shutil.copytree(vae, tmp_path / "elsewhere")
    addition = Addition(small(FAMILY), checkpoint_of(FAMILY, tmp_path), "again", elsewhere)
    again = add_model(tmp_path / "models", addition)
    configure(again, _diffusers_version="0.0")
    assert autoencoder_digest(again) == autoencoder_digest(added)


def test_a_configuration_that_is_none_is_told(added: ModelFolder) -> None:
    (added.path / "vae" / "config.json").write_text("[]")
    with pytest.raises(BenchmarkError, match=r"config.json holds no configuration"):
        autoencoder_digest(added)
