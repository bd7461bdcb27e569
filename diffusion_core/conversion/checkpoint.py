"""Checkpoint files as their authors' training codes write them.

    layout                                     who                         taken
    flat: names -> tensors                     released DiT, SiT, FlowDCN  all
    {"ema": …, "model": …, "opt": …}           DiT's, SiT's training       the moving average
    {"optimizer_states": [{"ema": [tensors]}]} FlowDCN's training          the list, by position

A positional list names nothing: its tensors are those of `parameters()`, in the order in which the
network's parts were made, trainable or not.

Source: the loading code of those three repositories.
"""

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelInvalid
from ..tensors import load_tensors

SAFETENSORS = ".safetensors"
FORBIDDEN = re.compile(r"GLOBAL (\S+)")  # what torch was asked to call
OF_DATA_PARALLEL = "module."  # what torch's wrapper puts before every name


def read_checkpoint(path: Path, parameter_names: Iterable[str]) -> dict[str, Tensor]:
    """The weights of a checkpoint, by the official names, memory-mapped where that is possible.

    parameter_names  of the network, in the order of its parameters: for lists without names

    Raises ModelInvalid where it is unreadable, of no known layout, or holds more than numbers.
    """
    if path.suffix == SAFETENSORS:
        return load_tensors(path)
    return _weights_of(_load(path), path, list(parameter_names))


def _load(path: Path) -> object:
    """What a torch file holds; nothing in it is run. Raises ModelInvalid."""
    # Training codes write their command line beside the weights.
    with torch.serialization.safe_globals([argparse.Namespace]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
        except OSError as error:
            raise ModelInvalid(f"{path}: {error.strerror or error}") from error
        except Exception as error:  # torch's own kinds and those of its parser: there is no root
            raise ModelInvalid(f"{path}: {_refusal(str(error))}") from error


def _refusal(reason: str) -> str:
    """In our words: torch's advise to load such a file all the same."""
    called = FORBIDDEN.search(reason)
    if called is None:
        return "truncated, or no torch file of numbers alone"
    return f"holds more than numbers, it would call {called[1]}; such a file is not read"


def _is_zip(path: Path) -> bool:
    """Only the format since torch 1.6 can be memory-mapped. Raises OSError."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _weights_of(stored: object, path: Path, parameter_names: list[str]) -> dict[str, Tensor]:
    if not isinstance(stored, Mapping):
        raise ModelInvalid(f"{path}: holds a {type(stored).__name__}, not weights by name")
    if "optimizer_states" in stored:
        return _by_position(stored, path, parameter_names)
    for key in ("ema", "model"):
        if isinstance(stored.get(key), Mapping):
            return _by_name(stored[key], f"{path}[{key!r}]")
    return _by_name(stored, str(path))


def _by_name(weights: Mapping[Any, Any], place: str) -> dict[str, Tensor]:
    for name, value in weights.items():
        if not isinstance(name, str):
            raise ModelInvalid(f"{place}: a tensor's name is a {type(name).__name__}, not a str")
        if not isinstance(value, Tensor):
            raise ModelInvalid(f"{place}: {name!r} is a {type(value).__name__}, not a tensor")
        flaw = _flaw(value)
        if flaw is not None:
            raise ModelInvalid(f"{place}: {name!r} is {flaw}, not a plain tensor")
    return {name.removeprefix(OF_DATA_PARALLEL): value for name, value in weights.items()}


def _flaw(value: Tensor) -> str | None:
    """What keeps a tensor from being plain numbers, if anything: torch reads such ones too."""
    if value.is_nested:
        return "nested"
    if value.is_quantized:
        return "quantised"
    if value.is_meta:
        return "without numbers"
    return None if value.layout is torch.strided else "sparse"


def _by_position(
    stored: Mapping[Any, Any], path: Path, parameter_names: list[str]
) -> dict[str, Tensor]:
    match stored:
        case {"optimizer_states": [{"ema": [*tensors]}, *_]}:
            pass
        case _:
            raise ModelInvalid(f"{path}: no list optimizer_states[0]['ema']")
    # Upstream pairs them with zip, which says nothing where one side is shorter.
    if len(tensors) != len(parameter_names):
        raise ModelInvalid(
            f"{path}: its list has {len(tensors)} tensors, "
            f"the network has {len(parameter_names)} parameters"
        )
    return _by_name(dict(zip(parameter_names, tensors, strict=True)), str(path))
