"""Checkpoints of an optimisation: one safetensors file, replaced atomically.

Tensors and the JSON state lie in the same file, so no interruption can pair new weights with an
old step count.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from .files import write_atomically

_OPTIMIZER = "optimizer"


def save_checkpoint(
    path: Path, modules: Mapping[str, nn.Module], optimizer: Optimizer, progress: Mapping[str, Any]
) -> None:
    """Write the modules by name, the optimiser's moments, and the progress as JSON.

    Raises OSError where the disk is full.
    """
    tensors = {
        f"{prefix}.{name}": value
        for prefix, module in modules.items()
        for name, value in module.state_dict().items()
    }
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}.{index}.{name}": value for name, value in moments.items()}
    payload = save(
        {name: value.detach().clone().contiguous() for name, value in tensors.items()},
        metadata={"progress": json.dumps(dict(progress))},
    )
    write_atomically(payload, path)


def load_checkpoint(
    path: Path, modules: Mapping[str, nn.Module], optimizer: Optimizer
) -> dict[str, Any]:
    """Restore what save_checkpoint wrote, into objects built as they were then."""
    progress, tensors = _read(path)
    for prefix, module in modules.items():
        module.load_state_dict(_under(prefix, tensors))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(_OPTIMIZER, tensors).items():
        index, moment = name.split(".")
        moments.setdefault(int(index), {})[moment] = value
    state = optimizer.state_dict()
    optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
    return progress


def load_module(path: Path, prefix: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """One module's tensors, and the progress."""
    progress, tensors = _read(path)
    return _under(prefix, tensors), progress


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        progress: dict[str, Any] = json.loads(file.metadata()["progress"])
        return progress, {name: file.get_tensor(name) for name in file.offset_keys()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with the prefix and a dot, without it."""
    start = f"{prefix}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
