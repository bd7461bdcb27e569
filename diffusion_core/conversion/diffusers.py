"""Folders of diffusers: `transformer/` holds the network under other names, `vae/` its decoder.

    official                             diffusers; BLOCK.D stands for transformer_blocks.D
    x_embedder.proj.*                    pos_embed.proj.*
    t_embedder.mlp.{0,2}.*               BLOCK.D.norm1.emb.timestep_embedder.linear_{1,2}.*
    y_embedder.embedding_table.weight    BLOCK.D.norm1.emb.class_embedder.embedding_table.weight
    blocks.D.adaLN_modulation.1.*        BLOCK.D.norm1.linear.*
    blocks.D.attn.qkv.*                  BLOCK.D.attn1.to_{q,k,v}.*
    blocks.D.attn.proj.*                 BLOCK.D.attn1.to_out.0.*
    blocks.D.mlp.fc1.*, fc2.*            BLOCK.D.ff.net.0.proj.*, net.2.*
    final_layer.adaLN_modulation.1.*     proj_out_1.*
    final_layer.linear.*                 proj_out_2.*

Their embedders are repeated in every block; the first block's are taken. Position embeddings are
not stored there: they follow from the sizes.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..card import Architecture
from ..errors import ModelInvalid
from ..networks.dit import sincos_position_embedding
from ..tensors import load_tensors

TRANSFORMER, VAE = "transformer", "vae"
WEIGHTS = "diffusion_pytorch_model.safetensors"

_OUTSIDE_BLOCKS = {
    "pos_embed.proj": "x_embedder.proj",
    "proj_out_1": "final_layer.adaLN_modulation.1",
    "proj_out_2": "final_layer.linear",
}
_IN_FIRST_BLOCK = {
    "norm1.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "norm1.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "norm1.emb.class_embedder.embedding_table": "y_embedder.embedding_table",
}
_IN_EVERY_BLOCK = {
    "norm1.linear": "adaLN_modulation.1",
    "attn1.to_out.0": "attn.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}
_QUERY_KEY_VALUE = ("attn1.to_q", "attn1.to_k", "attn1.to_v")
_BLOCK = re.compile(r"transformer_blocks\.(\d+)\.(.+)")


def is_diffusers_folder(path: Path) -> bool:
    return (path / TRANSFORMER).is_dir()


def read_transformer(folder: Path, architecture: Architecture) -> dict[str, Tensor]:
    """The weights of a network of these sizes by the official names. Raises ModelInvalid.

    Whether they have these sizes is not looked at.
    """
    path = folder / TRANSFORMER / WEIGHTS
    official = official_names(load_tensors(path), str(path))
    grid = architecture.input_size // architecture.patch_size
    positions = sincos_position_embedding(architecture.hidden_size, grid)
    return {**official, "pos_embed": positions.unsqueeze(0)}


def official_names(weights: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    """Rename what diffusers calls otherwise.

    Raises ModelInvalid at a name that it has not, and at query, key and value that do not match.
    """
    official: dict[str, Tensor] = {}
    joined: dict[str, list[str]] = {}  # official name -> names of query, key and value
    for full_name, value in weights.items():
        layer, _, kind = full_name.rpartition(".")  # kind: weight or bias
        block = _BLOCK.fullmatch(layer)
        if block is None:
            name = _OUTSIDE_BLOCKS.get(layer)
        elif block[2] in _QUERY_KEY_VALUE:
            three = [f"transformer_blocks.{block[1]}.{part}.{kind}" for part in _QUERY_KEY_VALUE]
            joined[f"blocks.{block[1]}.attn.qkv.{kind}"] = three
            continue
        elif block[2] in _IN_FIRST_BLOCK:
            name = _IN_FIRST_BLOCK[block[2]] if block[1] == "0" else ""  # the same again
        else:
            inner = _IN_EVERY_BLOCK.get(block[2])
            name = inner and f"blocks.{block[1]}.{inner}"
        if name is None:
            raise ModelInvalid(f"{place}: {full_name} is no tensor of diffusers' DiT")
        if name:
            official[f"{name}.{kind}"] = value
    return official | {name: _joined(weights, three, place) for name, three in joined.items()}


def _joined(weights: Mapping[str, Tensor], names: Sequence[str], place: str) -> Tensor:
    """Query, key and value in one. Raises ModelInvalid where they are not of one kind.

    Joined, parts of unequal sizes could have the right size all the same.
    """
    for name in names:
        if name not in weights:
            raise ModelInvalid(f"{place}: {name} is missing")
        if weights[name].ndim == 0 or _kind(weights[name]) != _kind(weights[names[0]]):
            raise ModelInvalid(
                f"{place}: {name} has {_kind(weights[name])}, "
                f"{names[0]} has {_kind(weights[names[0]])}"
            )
    return torch.cat([weights[name] for name in names])


def _kind(value: Tensor) -> str:
    return f"shape {tuple(value.shape)} and type {value.dtype}"
