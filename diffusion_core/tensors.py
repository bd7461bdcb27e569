"""Reading safetensors files: weights, and what else lies beside a card."""

import struct
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .errors import ModelInvalid


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises ModelInvalid."""
    try:
        return load_file(path)
    except (OSError, SafetensorError, struct.error) as error:
        raise ModelInvalid(f"{path}: {error}") from error
