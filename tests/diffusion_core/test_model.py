"""Cards and weights: what fits is loaded, what does not is refused with the reason."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from diffusion_core.errors import ClassNotFound, ModelInvalid, ModelNotFound, ModelTooLarge
from diffusion_core.model import ModelFolder, find_models, get_model, load_model
from tests.fakes import TINY_SIZES, write_tiny_model

CPU = torch.device("cpu")
TINY_CONVOLUTIONS = {k: v for k, v in TINY_SIZES.items() if k != "num_heads"} | {
    "network": "flowdcn",
    "num_groups": 2,
}


@pytest.fixture
def folder(tmp_path) -> ModelFolder:
    return write_tiny_model(tmp_path)


def edit_card(folder: ModelFolder, **changes: object) -> None:
    card = json.loads((folder.path / "card.json").read_text())
    (folder.path / "card.json").write_text(json.dumps({**card, **changes}))


def test_a_saved_model_answers_as_before_saving(folder) -> None:
    before = folder.card.architecture.build().eval()
    for parameter in before.parameters():
        parameter.data.normal_(std=0.2)  # a fresh network answers zero
    save_file(before.state_dict(), folder.path / "model.safetensors")
    loaded = load_model(folder, CPU).network
    x, time, label = torch.randn(2, 3, 8, 8), torch.rand(2), torch.tensor([0, 4])
    # Within rounding: a loaded network multiplies by other means.
    torch.testing.assert_close(loaded(x, time, label), before(x, time, label), rtol=1e-4, atol=1e-5)
    assert loaded(x, time, label).abs().max() > 0


def test_the_digest_names_the_weights(folder) -> None:
    before = ModelFolder.read(folder.path).weights_digest
    weights = load_file(folder.path / "model.safetensors")
    weights["x_embedder.proj.bias"][0] += 1
    save_file(weights, folder.path / "model.safetensors")
    assert ModelFolder.read(folder.path).weights_digest != before


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"schedule": "cosine"}, "schedule"),
        ({"prediction": "score"}, "prediction"),
        ({"latent_shape": [4, 8, 8]}, "latent_shape"),
        ({"classes": ["a"]}, "1 classes named, network has 4"),
        ({"guided_channels": 4}, "guided_channels"),
        ({"time_scale": "1"}, "time_scale"),
        ({"colour": "red"}, "colour"),
        ({"name": "../etc"}, "name"),
        ({"default_guidance_scale": 51.0}, "default_guidance_scale"),
        ({"null_class": -1}, "null_class"),
        ({"null_class": 5}, "null_class 5 has no row .* the last one is 4"),
        ({"default_solver": "ab9"}, "no classical solver 'ab9'; there are euler"),
        ({"architecture": {**TINY_SIZES, "num_heads": 5}}, "hidden_size 16 must be a multiple"),
        ({"architecture": {**TINY_SIZES, "patch_size": 3}}, "input_size 8 must be a multiple"),
        ({"architecture": {**TINY_SIZES, "mlp_ratio": -1.0}}, "mlp_ratio"),
        ({"architecture": {**TINY_CONVOLUTIONS, "num_groups": 5}}, "multiple of num_groups"),
        ({"architecture": {**TINY_SIZES, "hidden_size": 4 * 10**400}}, "hidden_size"),
        ({"architecture": {**TINY_SIZES, "depth": 10**9}}, "depth"),
        ({"deterministic_rows": 10**9}, "deterministic_rows"),
        ({"time_scale": float("nan")}, "time_scale"),
        ({"title": "\ud800"}, "hex escape"),
        ({"classes": ["a", "b", "c", "\udfff"]}, "hex escape"),
        ({"weights": "model\0.safetensors"}, "weights"),
        ({"published_families": ["dit-xl-256"]}, "published_families: dit-xl-256-5 .* vp cannot"),
        ({"published_families": ["My Tables"]}, "a solver name is .* got 'My Tables-256'"),
        ({"published_families": ["x"] * 17}, "published_families"),
        ({"prediction": "noise"}, "default_solver: ab2 .* infinite at .* = 0"),
        ({"prediction": "data", "default_solver": "heun"}, "heun .* infinite at .* = 1"),
    ],
)
def test_a_card_that_breaks_a_rule_is_refused_with_the_field(folder, changes, rule) -> None:
    edit_card(folder, **changes)
    with pytest.raises(ModelInvalid, match=rule):
        ModelFolder.read(folder.path)


@pytest.mark.parametrize(
    "changes",
    [
        {"default_solver": "unipc-3-bh1-lambda"},
        {"null_class": 0},
        {"architecture": TINY_CONVOLUTIONS},
        {"published_families": ["sit-xl-256", "of-my-own"]},
        {"prediction": "data"},
        {"schedule": "ddpm", "prediction": "noise", "published_families": ["dit-xl-256"]},
        {"title": "\U0001f600 and \u00fc"},
    ],
)
def test_a_card_that_keeps_the_rules_makes_a_network(folder, changes) -> None:
    edit_card(folder, **changes)
    ModelFolder.read(folder.path).card.architecture.build()


def test_a_card_that_is_missing_or_not_json_is_refused(tmp_path) -> None:
    with pytest.raises(ModelInvalid, match="No such file"):
        ModelFolder.read(tmp_path)
    for content in (b"{", b"[]", b"\xff", b"[" * 100_000):
        (tmp_path / "card.json").write_bytes(content)
        with pytest.raises(ModelInvalid, match=r"card\.json"):
            ModelFolder.read(tmp_path)


def test_weights_that_do_not_fit_are_refused_with_what_is_missing(folder) -> None:
    path = folder.path / "model.safetensors"
    weights = load_file(path)
    bias = weights.pop("final_layer.linear.bias")
    save_file(weights, path)
    with pytest.raises(ModelInvalid, match=r"1 tensors missing, the first is final_layer\.linear"):
        load_model(folder, CPU)
    save_file({**weights, "final_layer.linear.bias": bias, "extra": bias.clone()}, path)
    with pytest.raises(ModelInvalid, match="unknown, the first is extra"):
        load_model(folder, CPU)
    save_file({**weights, "final_layer.linear.bias": bias[:-1].clone()}, path)
    with pytest.raises(ModelInvalid, match=r"final_layer\.linear\.bias has shape \(47,\)"):
        load_model(folder, CPU)


def test_truncated_or_missing_weights_are_refused(folder) -> None:
    path = folder.path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelInvalid, match=r"model\.safetensors"):
        load_model(folder, CPU)
    path.unlink()
    with pytest.raises(ModelInvalid, match=r"model\.safetensors"):
        load_model(folder, CPU)


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("served", [torch.float32, torch.bfloat16])
def test_a_folder_tells_what_the_loaded_model_takes(folder, stored, served) -> None:
    path = folder.path / "model.safetensors"
    save_file({name: value.to(stored) for name, value in load_file(path).items()}, path)
    assert folder.num_bytes(served) == load_model(folder, CPU, served).num_bytes


def test_a_half_precision_file_is_refused_where_it_has_no_room_in_single(
    folder, monkeypatch
) -> None:
    path = folder.path / "model.safetensors"
    save_file({name: value.half() for name, value in load_file(path).items()}, path)
    room = folder.num_bytes(torch.float32) - 1
    assert room > path.stat().st_size
    monkeypatch.setattr("diffusion_core.model.available_memory", lambda device: room)
    with pytest.raises(ModelTooLarge):
        load_model(folder, CPU)
    load_model(folder, CPU, torch.bfloat16)


def test_a_damaged_file_has_a_size_and_a_missing_one_has_none(folder) -> None:
    path = folder.path / "model.safetensors"
    path.write_bytes(b"no weights")
    assert folder.num_bytes(torch.float32) == 8
    path.unlink()
    assert folder.num_bytes(torch.float32) == 0
    with pytest.raises(ModelInvalid, match="No such file"):
        load_model(folder, CPU)


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": 999 * "a"},
        {
            "decoder": "vae",
            "vae": 999 * "a",
            "weights": "none",
            "architecture": {**TINY_SIZES, "in_channels": 4},
            "latent_shape": [4, 8, 8],
        },
    ],
)
def test_a_name_that_no_file_can_have_is_one_of_no_size(folder, changes) -> None:
    edit_card(folder, **changes)
    assert ModelFolder.read(folder.path).num_bytes(torch.float32) == 0


def test_models_are_found_by_the_name_on_their_card(tmp_path) -> None:
    write_tiny_model(tmp_path, "one")
    write_tiny_model(tmp_path, "two")
    found = find_models(tmp_path)
    assert sorted(found) == ["one", "two"]
    assert get_model(found, "two").card.name == "two"
    with pytest.raises(ModelNotFound, match="at hand: one, two"):
        get_model(found, "three")


def test_two_models_of_one_name_are_refused(tmp_path) -> None:
    write_tiny_model(tmp_path, "one")
    edit_card(write_tiny_model(tmp_path, "two"), name="one")
    with pytest.raises(ModelInvalid, match="two models are called 'one'"):
        find_models(tmp_path)


def test_class_names_and_their_bounds(folder) -> None:
    assert folder.card.class_name(3) == "d"
    for outside in (-1, 4):
        with pytest.raises(ClassNotFound, match=r"\[0, 3\]"):
            folder.card.class_name(outside)
