"""How far a training is, and its checkpoint."""

from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer

from diffusion_core import checkpoint


@dataclass
class Progress:
    step: int = 0
    seconds: float = 0.0  # spent training, over all runs


def save_checkpoint(
    path: Path, network: nn.Module, average: nn.Module, optimizer: Optimizer, progress: Progress
) -> None:
    """Write weights, their moving average, the optimiser's moments and the progress."""
    modules = {"network": network, "average": average}
    checkpoint.save_checkpoint(path, modules, optimizer, asdict(progress))


def load_checkpoint(
    path: Path, network: nn.Module, average: nn.Module, optimizer: Optimizer
) -> Progress:
    """Restore what save_checkpoint wrote, into objects built as they were then."""
    modules = {"network": network, "average": average}
    return Progress(**checkpoint.load_checkpoint(path, modules, optimizer))


def load_average(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """The moving average of the weights alone: what is sampled from and shipped."""
    tensors, progress = checkpoint.load_module(path, "average")
    return tensors, Progress(**progress)
