"""Stand-ins for what has to be downloaded: random numbers, in small."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from benchmarks.reproduce import command, models
from diffusion_core.networks.inception import InceptionV3
from tests.diffusion_core.conversion.small import small, trained


@pytest.fixture(scope="session")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An autoencoder of the published kind in small: 4 latent channels, twice the size."""
    folder = tmp_path_factory.mktemp("vae")
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture
def small_families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "get_family", small)
    monkeypatch.setattr(models, "get_family", small)


def checkpoint_of(family: str, folder: Path) -> Path:
    path = folder / f"{family}.pt"
    torch.save(trained(small(family).architecture).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.manual_seed(0)
    torch.save(InceptionV3().state_dict(), path)
    return path


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "reference.npz"
    rng = np.random.default_rng(0)
    np.savez(
        path,
        arr_0=rng.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8),
        mu=rng.uniform(size=2048), sigma=np.eye(2048),
        mu_s=rng.uniform(size=2023), sigma_s=np.eye(2023),
    )  # fmt: skip
    return path
