"""What a solver is searched for: a network, frozen, at one guidance scale."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from diffusion_core.model import LoadedModel
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, Network, NetworkKind

CPU = torch.device("cpu")
LARGE_BYTES = 1 << 30  # of weights: DiT-L and larger


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
    rematerialise: bool = False  # compute activations again: all of them would not fit
    identity: str = ""  # names network and weights in caches; empty: nothing is kept

    @classmethod
    def of_model(cls, model: LoadedModel, guidance_scale: float) -> "Problem":
        card = model.card
        return cls(
            network=model.network,
            kind=card.kind,
            latent_shape=card.latent_shape,
            num_classes=len(card.classes),
            guidance_scale=guidance_scale,
            null_class=card.null_class,
            guided_channels=card.guided_channels,
            device=model.device,
            rematerialise=model.num_bytes >= LARGE_BYTES,
            identity=model.digest,
        )

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


def rematerialised(network: Network) -> Network:
    """The same network, whose activations are computed again for the backward pass.

    Memory then grows with one evaluation instead of all of them; each costs one forward more.
    """

    def forward(x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor:
        out: Tensor = checkpoint(network, x, time, class_label, use_reentrant=False)
        return out

    return forward


def _dtype(network: Network) -> str:
    """What a network computes in, as far as one can see."""
    if not isinstance(network, nn.Module):
        return "unknown"
    return str(next((parameter.dtype for parameter in network.parameters()), "unknown"))
