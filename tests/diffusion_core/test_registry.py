"""Which model a name means: the same one to whoever asks."""

import logging
import shutil
from pathlib import Path

import pytest

from diffusion_core.errors import ModelInvalid, ModelNotFound
from diffusion_core.folders import BUNDLED_MODELS
from diffusion_core.model import find_models
from diffusion_core.registry import choose_models, find_device, find_model, models_at_hand
from tests.fakes import write_tiny_model

BUNDLED = sorted(find_models(BUNDLED_MODELS))


def named_glyphs(root: Path) -> str:
    """A folder with a card of the bundled model's name."""
    path = write_tiny_model(root, "v2").path
    card = path / "card.json"
    card.write_text(card.read_text().replace('"name": "v2"', '"name": "glyphs"'))
    return str(path)


def break_card(home: Path, name: str) -> None:
    folder = home / "models" / name
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")


def test_a_named_folder_stands_for_its_name_before_the_bundled_model(tmp_path: Path) -> None:
    folder = named_glyphs(tmp_path / "elsewhere")
    (chosen,) = choose_models(tmp_path, [folder])
    assert models_at_hand(tmp_path, [folder])["glyphs"] == chosen
    assert find_model(tmp_path, [folder], "glyphs") == chosen
    assert str(chosen.path) == folder


def test_models_that_are_not_named_are_at_hand_all_the_same(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "models", "added")
    assert list(models_at_hand(tmp_path, ["glyphs"])) == ["added", *BUNDLED]
    assert [folder.card.name for folder in choose_models(tmp_path, ["glyphs"])] == ["glyphs"]


def test_the_bundled_models_come_first_where_none_is_named(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "models", "added")
    assert [folder.card.name for folder in choose_models(tmp_path, [])] == [*BUNDLED, "added"]


@pytest.mark.parametrize("names", [[], ["glyphs"]])
def test_a_broken_card_that_nobody_named_is_left_out_and_logged_once(
    tmp_path: Path, names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    break_card(tmp_path, "broken")
    with caplog.at_level(logging.WARNING):
        chosen = choose_models(tmp_path, names)
        at_hand = models_at_hand(tmp_path, names)
    assert [folder.card.name for folder in chosen] == (names or BUNDLED)
    assert list(at_hand) == BUNDLED
    assert [str(tmp_path) in line for line in caplog.messages] == [True]


def test_a_broken_card_is_an_error_where_it_was_named(tmp_path: Path) -> None:
    break_card(tmp_path, "broken")
    for name in ("broken", str(tmp_path / "models" / "broken")):
        with pytest.raises(ModelInvalid, match=r"broken/card\.json"):
            choose_models(tmp_path, [name])
        assert list(models_at_hand(tmp_path, [name])) == BUNDLED


def test_two_named_folders_of_one_name_are_refused(tmp_path: Path) -> None:
    names = [named_glyphs(tmp_path / "one"), named_glyphs(tmp_path / "two")]
    with pytest.raises(ModelInvalid, match="two models are called 'glyphs'"):
        choose_models(tmp_path, names)


def test_of_two_models_of_one_name_that_nobody_named_the_first_is_taken(tmp_path: Path) -> None:
    first = write_tiny_model(tmp_path / "models", "a")
    second = write_tiny_model(tmp_path / "models", "b").path / "card.json"
    second.write_text(second.read_text().replace('"name": "b"', '"name": "a"'))
    assert models_at_hand(tmp_path, [])["a"].path == first.path


def test_a_copy_of_a_model_does_not_take_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original = write_tiny_model(tmp_path / "models", "mine").path
    copy = shutil.copytree(original, original.with_name("a-copy"))
    assert models_at_hand(tmp_path, [])["mine"].path == original
    assert f"a model is left out: {copy} is called mine, as {original}" in caplog.messages


def test_a_gpu_that_is_not_there_is_refused_by_the_name_of_the_setting() -> None:
    with pytest.raises(ZeroDivisionError, match="FEWSTEP_DEVICE: 'cuda:99' asks for a GPU"):
        find_device("cuda:99", ZeroDivisionError)
    assert find_device("cpu", ZeroDivisionError).type == "cpu"


def test_a_name_of_no_model_tells_those_at_hand(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"'nonesuch' is no folder with .* at hand: .*glyphs"):
        choose_models(tmp_path, ["nonesuch"])
