"""Folders of diffusers that are not as diffusers writes them."""

import re

import pytest
import torch
from safetensors.torch import save_file

from diffusion_core.conversion import Addition, add_model
from diffusion_core.errors import ModelInvalid
from tests.diffusion_core.conversion.small import small, small_diffusers

QUERY, VALUE = (f"transformer_blocks.0.attn1.{part}.weight" for part in ("to_q", "to_v"))


def assert_refused(tmp_path, weights, reason) -> None:
    models = tmp_path / "home" / "models"
    (tmp_path / "transformer").mkdir()
    save_file(weights, tmp_path / "transformer" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ModelInvalid, match=reason):
        add_model(models, Addition(small("dit-xl-2-256"), tmp_path, "mine"))
    assert not models.exists()


@pytest.mark.parametrize(
    ("name", "edit", "reason"),
    [
        ("pos_embed.proj.bias", lambda b: b.sum(), r"x_embedder\.proj\.bias has shape \(\)"),
        ("proj_out_2.weight", lambda w: w.sum(), r"final_layer\.linear\.weight has shape \(\)"),
        (QUERY, lambda w: w[0, 0], r"0\.attn1\.to_q\.weight has shape \(\)"),
        (VALUE, lambda w: w[0, 0], r"0\.attn1\.to_v\.weight has shape \(\)"),
        (VALUE, lambda w: w[:, :8], r"to_v\.weight has shape \(16, 8\) .*to_q\.weight has .* 16\)"),
        (VALUE, lambda w: w.to(torch.float8_e5m2), r"to_v\.weight has .*type torch\.float8_e5m2"),
    ],
)
def test_a_folder_of_diffusers_that_does_not_fit_is_refused(tmp_path, name, edit, reason) -> None:
    weights = small_diffusers().state_dict()
    weights[name] = edit(weights[name]).clone()
    assert_refused(tmp_path, weights, reason)


def test_query_key_and_value_that_only_add_up_to_the_right_size_are_refused(tmp_path) -> None:
    weights = small_diffusers().state_dict()
    weights[QUERY], weights[VALUE] = torch.ones(8, 16), torch.ones(24, 16)
    assert_refused(tmp_path, weights, r"to_k\.weight has shape \(16, 16\) .*\(8, 16\)")


def test_a_missing_part_of_an_attention_is_named(tmp_path) -> None:
    weights = small_diffusers().state_dict()
    del weights[QUERY]
    assert_refused(tmp_path, weights, f"{re.escape(QUERY)} is missing")
