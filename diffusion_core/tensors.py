"""Reading safetensors files: weights, and what else lies beside a card."""

import math
import struct
from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from .errors import ModelInvalid

# torch says RuntimeError where the system does not map so large a file.
UNREADABLE = (OSError, RuntimeError, SafetensorError, struct.error)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises ModelInvalid."""
    try:
        return load_file(path)
    except UNREADABLE as error:
        raise ModelInvalid(f"{path}: {error}") from error


def num_elements(path: Path, without: Collection[str] = ()) -> int:
    """How many numbers a safetensors file holds, of whatever type; only its header is read.

    without  parts of the network, by the first word of their names, that do not count

    Raises ModelInvalid.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            counted = [name for name in names if name.partition(".")[0] not in without]
            return sum(math.prod(file.get_slice(name).get_shape()) for name in counted)
    except UNREADABLE as error:
        raise ModelInvalid(f"{path}: {error}") from error
