"""Checkpoints of every documented layout, written here as their authors' codes write them."""

import argparse
import os

import pytest
import torch
from safetensors.torch import save_file

from diffusion_core.conversion.checkpoint import read_checkpoint
from diffusion_core.errors import ModelInvalid

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2), "b": torch.rand(4)}
OTHERS = {name: value + 100 for name, value in WEIGHTS.items()}
NAMES = list(WEIGHTS)


def assert_same(found, wanted=WEIGHTS) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.pt"


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_released_file_is_flat(path, zipped) -> None:
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=zipped)
    assert_same(read_checkpoint(path, NAMES))


def test_of_a_training_file_the_moving_average_is_taken(path) -> None:
    options = argparse.Namespace(model="DiT-XL/2", lr=1e-4)
    stored = {"model": OTHERS, "ema": WEIGHTS, "opt": {"state": {}}, "args": options}
    torch.save(stored, path)
    assert_same(read_checkpoint(path, NAMES))


def test_without_a_moving_average_the_model_itself_is_taken(path) -> None:
    torch.save({"model": WEIGHTS, "epoch": 7}, path)
    assert_same(read_checkpoint(path, NAMES))


def test_a_positional_list_goes_to_the_parameters_in_their_order(path) -> None:
    stored = {"optimizer_states": [{"ema": list(WEIGHTS.values())}], "state_dict": OTHERS}
    torch.save(stored, path)
    assert_same(read_checkpoint(path, NAMES))


def test_safetensors_are_read_as_they_are(tmp_path) -> None:
    save_file(WEIGHTS, tmp_path / "weights.safetensors")
    assert_same(read_checkpoint(tmp_path / "weights.safetensors", NAMES))


def test_the_prefix_of_data_parallel_training_is_dropped(path) -> None:
    torch.save({f"module.{name}": value for name, value in WEIGHTS.items()}, path)
    assert_same(read_checkpoint(path, NAMES))


def test_a_positional_list_of_another_length_is_refused_with_both_lengths(path) -> None:
    """Upstream's loader pairs by zip, and would leave the rest of the network untrained."""
    torch.save({"optimizer_states": [{"ema": list(WEIGHTS.values())[:2]}]}, path)
    with pytest.raises(ModelInvalid, match="2 tensors, the network has 3 parameters"):
        read_checkpoint(path, NAMES)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ([torch.ones(1)], "holds a list"),
        ({"a.weight": "text"}, "'a.weight' is a str"),
        ({"model": {7: torch.ones(1)}}, "a tensor's name is a int"),
        ({"optimizer_states": [{"ema": [torch.ones(1), 2, 3.0]}]}, "'a.bias' is a int"),
        ({"optimizer_states": [{"ema": torch.eye(2).to_sparse()}]}, "no list optimizer_states"),
        ({"optimizer_states": []}, "no list optimizer_states"),
        ({"optimizer_states": [{"exp_avg": []}]}, "no list optimizer_states"),
    ],
)
def test_an_unknown_layout_is_refused_with_what_was_found(path, stored, reason) -> None:
    torch.save(stored, path)
    with pytest.raises(ModelInvalid, match=reason):
        read_checkpoint(path, NAMES)


@pytest.mark.filterwarnings("ignore")  # torch's own, of kinds that it calls prototypes
@pytest.mark.parametrize(
    ("make", "flaw"),
    [
        (lambda: torch.eye(2).to_sparse(), "sparse"),
        (lambda: torch.eye(2).to_sparse_csr(), "sparse"),
        (lambda: torch.ones(2, device="meta"), "without numbers"),
        (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "nested"),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "quantised"),
    ],
)
def test_a_tensor_that_is_more_than_plain_numbers_is_refused(path, make, flaw) -> None:
    torch.save({"a.weight": make()}, path)
    with pytest.raises(ModelInvalid, match=f"'a.weight' is {flaw}, not a plain tensor"):
        read_checkpoint(path, NAMES)


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_nothing_in_a_file_is_run(path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a.weight": Malicious()}, path)
    with pytest.raises(
        ModelInvalid, match=r"holds more than numbers, it would call posix\.mkdir; such"
    ):
        read_checkpoint(path, NAMES)
    assert not (tmp_path / "ran").exists()


def test_a_truncated_file_is_refused(path) -> None:
    torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelInvalid, match="truncated"):
        read_checkpoint(path, NAMES)


@pytest.mark.parametrize("content", [b"", b"not a torch file"])
def test_what_is_no_torch_file_is_refused(path, content) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelInvalid, match=r"checkpoint\.pt"):
        read_checkpoint(path, NAMES)


def test_a_missing_file_is_refused(path) -> None:
    with pytest.raises(ModelInvalid, match="No such file"):
        read_checkpoint(path, NAMES)
