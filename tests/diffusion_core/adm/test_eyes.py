"""Inception's numbers from files as they are found."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from diffusion_core.adm import load_inception, read_pictures
from diffusion_core.errors import ModelInvalid
from diffusion_core.networks.inception import InceptionV3

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return InceptionV3().state_dict()


def without_counts(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the ported file has it."""
    return {name: value for name, value in weights.items() if "num_batches" not in name}


def test_either_kind_of_file_gives_the_same_network(tmp_path: Path, weights) -> None:
    torch.save(
        without_counts(weights), tmp_path / "ported.pth", _use_new_zipfile_serialization=False
    )
    save_file(weights, tmp_path / "whole.safetensors")
    pictures = torch.randint(0, 256, (1, 20, 20, 3), dtype=torch.uint8)
    seen = [
        read_pictures(load_inception(tmp_path / name, CPU), pictures)
        for name in ("ported.pth", "whole.safetensors")
    ]
    assert torch.equal(seen[0].pool, seen[1].pool)
    assert torch.equal(seen[0].spatial, seen[1].spatial)
    assert seen[0].pool.isfinite().all()


def test_a_file_of_another_network_is_refused(tmp_path: Path, weights) -> None:
    short = without_counts(weights)
    del short["Mixed_7c.branch_pool.conv.weight"]
    torch.save(short, tmp_path / "short.pth")
    with pytest.raises(ModelInvalid, match=r"missing, the first is Mixed_7c\.branch_pool"):
        load_inception(tmp_path / "short.pth", CPU)
    thousand = without_counts(weights) | {"fc.weight": torch.zeros(1000, 2048)}
    torch.save(thousand, tmp_path / "thousand.pth")
    with pytest.raises(ModelInvalid, match=r"fc\.weight has shape"):
        load_inception(tmp_path / "thousand.pth", CPU)


def test_a_missing_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match=r"no\.pth: No such file"):
        load_inception(tmp_path / "no.pth", CPU)
