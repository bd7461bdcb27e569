"""Results on disk, named by all that they depend on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from diffusion_core.files import write_atomically

FORMAT = 2  # counts up where the same words come to mean other numbers


def named(folder: Path | None, kind: str, meaning: Mapping[str, Any], end: str) -> Path | None:
    """Where a result of this meaning lies: folder/kind-<digest><end>; None keeps nothing.

    A network without an identity could be any: nothing of it is kept.
    """
    if folder is None or not meaning["network"]:
        return None
    text = json.dumps({**meaning, "format": FORMAT}, sort_keys=True)
    return folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}{end}"


def read_json(path: Path) -> dict[str, Any] | None:
    """None where there is no such file, or a damaged one: its content is computed again."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_json(content: Mapping[str, Any], path: Path) -> None:
    write_atomically(json.dumps(content).encode(), path)


def read_endpoints(path: Path) -> Tensor | None:
    """None where there is no such file, or a damaged one: it is computed again."""
    try:
        return load_file(path)["endpoints"]
    except (FileNotFoundError, SafetensorError, KeyError):
        return None


def write_endpoints(endpoints: Tensor, path: Path) -> None:
    """Where the ODE ends, on the host."""
    write_atomically(save({"endpoints": endpoints}), path)
