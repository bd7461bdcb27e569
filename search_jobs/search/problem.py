"""What a solver is searched for: a network, frozen, at one guidance scale."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from diffusion_core.model import LoadedModel
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, Network, NetworkKind

from .activations import PART_BYTES, InParts, activation_bytes

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Problem:
    """A network and how it is asked. The network's parameters take no gradients."""

    network: Network
    kind: NetworkKind
    latent_shape: tuple[int, int, int]  # channels, height, width
    num_classes: int
    guidance_scale: float = 1.0  # exactly 1 asks the network once, anything else in pairs
    null_class: int = -1  # the label without a class, where guided
    guided_channels: int | None = None  # the first so many; None guides all
    device: torch.device = CPU
    row_bytes: int = 0  # activations that a row leaves for the backward pass; 0: nobody has looked
    identity: str = ""  # names network and weights in caches; empty: nothing is kept

    @classmethod
    def of_model(cls, model: LoadedModel, guidance_scale: float) -> "Problem":
        card = model.card
        row_bytes = activation_bytes(model.network, card.latent_shape, model.device)
        # Without gradients a forward holds one block's, and blocks are alike.
        rows = max(1, PART_BYTES * card.architecture.depth // max(1, row_bytes))
        return cls(
            network=InParts(model.network, rows),
            kind=card.kind,
            latent_shape=card.latent_shape,
            num_classes=len(card.classes),
            guidance_scale=guidance_scale,
            null_class=card.null_class,
            guided_channels=card.guided_channels,
            device=model.device,
            row_bytes=row_bytes,
            identity=model.digest,
        )

    @property
    def rows_per_sample(self) -> int:
        """Network rows of one evaluation: a guided one asks twice."""
        return 1 if self.guidance_scale == 1.0 else 2

    @property
    def rows_in_part(self) -> int | None:
        """Whose activations are held at once, where they are computed again; None: all."""
        return max(1, PART_BYTES // self.row_bytes) if self.row_bytes else None

    def guidance(self, num_lanes: int) -> Guidance | None:
        if self.guidance_scale == 1.0:
            return None
        channels = self.latent_shape[0] if self.guided_channels is None else self.guided_channels
        return Guidance.of_all(
            self.guidance_scale, num_lanes, self.null_class, channels, self.device
        )

    def draw(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Noise (B, C, H, W) and class labels (B,); both follow from the seed of each sample."""
        noise = torch.stack([initial_noise(seed, self.latent_shape) for seed in seeds])
        return noise.to(self.device), self.labels(seeds)

    def labels(self, seeds: Sequence[int]) -> Tensor:
        """(B,) the class of each seed's sample."""
        return torch.tensor([seed % self.num_classes for seed in seeds], device=self.device)

    @property
    def meaning(self) -> dict[str, Any]:
        """All of it that the end of the ODE from a seed depends on, for the names of files."""
        return {
            "network": self.identity,
            "dtype": _dtype(self.network),
            "kind": asdict(self.kind),
            "latent_shape": self.latent_shape,
            "num_classes": self.num_classes,
            "guidance_scale": self.guidance_scale,
            "null_class": self.null_class,
            "guided_channels": self.guided_channels,
            "device": self.device.type,
            "torch": torch.__version__,
        }


def _dtype(network: Network) -> str:
    """What a network computes in, as far as one can see."""
    if not isinstance(network, nn.Module):
        return "unknown"
    return str(next((parameter.dtype for parameter in network.parameters()), "unknown"))
