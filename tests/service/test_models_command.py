"""`fewstep models`: from a checkpoint file to a picture, by commands alone."""

import json
from pathlib import Path

import httpx
import pytest
import torch

from diffusion_core.families import FAMILIES
from service.cli import main
from tests.diffusion_core.conversion.small import SMALL_DIT, small, trained
from tests.service.live import Live

Output = pytest.CaptureFixture[str]

FAMILY = "sit-xs-2-64"  # one that tests can afford


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training file of that family."""
    monkeypatch.setitem(FAMILIES, FAMILY, small("sit-xl-2-256"))
    file = tmp_path / "0050000.pt"
    torch.save({"ema": trained(SMALL_DIT).state_dict(), "opt": {}}, file)
    return file


def add(checkpoint: Path, home: Path, *flags: str) -> int:
    flags = ("--checkpoint", str(checkpoint), "--home", str(home), "--name", "mine", *flags)
    return main(["models", "add", "--family", FAMILY, *flags])


def test_a_checkpoint_is_added_loaded_drawn_from_and_removed(
    checkpoint: Path, home: Path, server: Live, capsys: Output
) -> None:
    assert add(checkpoint, home) == 0
    told = capsys.readouterr()
    assert "latents 4 x 8 x 8" in told.out
    assert "writing the weights" in told.err
    assert main(["models", "list", "--home", str(home)]) == 0
    assert "mine" in capsys.readouterr().out
    assert main(["models", "load", "mine", "--url", server.url]) == 0
    body = {"model": "mine", "class_id": 207, "steps": 4}
    drawn = httpx.post(f"{server.url}/generate", json=body).json()
    assert drawn["class_name"] == "golden retriever"
    assert main(["models", "unload", "mine", "--url", server.url]) == 0
    assert main(["models", "remove", "mine", "--home", str(home)]) == 0
    names = [model["name"] for model in httpx.get(f"{server.url}/models").json()["models"]]
    assert "mine" not in names


def test_a_card_is_shown(home: Path, capsys: Output) -> None:
    assert main(["models", "show", "tiny", "--home", str(home)]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["a", "b", "c", "d"]


def failure(capsys: Output, *arguments: str) -> str:
    assert main(arguments) == 1
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_a_file_that_does_not_fit_is_one_line(checkpoint: Path, home: Path, capsys: Output) -> None:
    torch.save({"ema": {"pos_embed": torch.zeros(1)}}, checkpoint)
    assert add(checkpoint, home) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert "tensors missing, the first is blocks.0.adaLN_modulation.1.bias" in told


def test_an_unknown_family_is_told_with_those_there_are(
    checkpoint: Path, home: Path, capsys: Output
) -> None:
    flags = ("--checkpoint", str(checkpoint), "--home", str(home))
    assert "sit-xl-2-256" in failure(capsys, "models", "add", "--family", "sdxl", *flags)


def test_a_folder_with_a_broken_card_is_removed_by_its_own_name(home: Path, capsys: Output) -> None:
    folder = home / "models" / "broken"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")
    assert main(["models", "remove", "broken", "--home", str(home)]) == 0
    assert str(folder) in capsys.readouterr().out
    assert not folder.exists()


def test_bundled_and_unknown_models_are_not_removed(home: Path, capsys: Output) -> None:
    flags = ("--home", str(home))
    assert "was not added" in failure(capsys, "models", "remove", "glyphs", *flags)
    assert "at hand" not in failure(capsys, "models", "remove", "glyphs", *flags)
    assert "no model 'nonesuch'" in failure(capsys, "models", "remove", "nonesuch", *flags)
