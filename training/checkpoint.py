"""Checkpoints that survive being killed at any moment: one safetensors file, replaced atomically.

Tensors and the JSON state lie in the same file, so no interruption can pair new weights with an
old step count.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from diffusion_core.files import write_atomically


@dataclass
class Progress:
    step: int = 0
    seconds: float = 0.0  # spent training, over all runs


def save_checkpoint(
    path: Path,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write weights, their moving average, the optimiser's moments and the progress."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    payload = save(
        {name: value.detach().clone().contiguous() for name, value in tensors.items()},
        metadata={"progress": json.dumps(asdict(progress))},
    )
    write_atomically(payload, path)


def load_checkpoint(
    path: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> Progress:
    """Restore what save_checkpoint wrote, into objects built as they were then."""
    with safe_open(path, framework="pt") as file:
        progress = Progress(**json.loads(file.metadata()["progress"]))
        tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    network.load_state_dict(under("network.", tensors))
    average.load_state_dict(under("average.", tensors))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in under("optimizer.", tensors).items():
        index, moment = name.split(".")
        moments.setdefault(int(index), {})[moment] = value
    state = optimizer.state_dict()
    optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
    return progress


def load_average(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """The moving average of the weights alone: what is sampled from and shipped."""
    with safe_open(path, framework="pt") as file:
        progress = Progress(**json.loads(file.metadata()["progress"]))
        names = [name for name in file.offset_keys() if name.startswith("average.")]
        return under("average.", {name: file.get_tensor(name) for name in names}), progress


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with the prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
