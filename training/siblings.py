"""The bundled models: one data set, one size, three kinds of network and diffusion.

glyphs        SiT: a transformer, rectified flow, velocity
glyphs-ddpm   DiT: the same transformer, the betas of DDPM, noise, times 0..999
glyphs-dcn    FlowDCN: deformable convolutions, rectified flow, velocity
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import nn

from diffusion_core.card import Architecture, DiTArchitecture, FlowDCNArchitecture
from diffusion_core.program import NetworkKind
from solver_store.table import Prediction

from .glyphs import CLASSES
from .paths import BUNDLED, RESULTS, WORK

SIZE, CHANNELS = 32, 3

TRANSFORMER = DiTArchitecture(
    network="dit",
    input_size=SIZE,
    patch_size=4,
    in_channels=CHANNELS,
    hidden_size=192,
    depth=5,
    num_heads=3,
    num_classes=len(CLASSES),
)
CONVOLUTIONS = FlowDCNArchitecture(
    network="flowdcn",
    input_size=SIZE,
    patch_size=4,
    in_channels=CHANNELS,
    hidden_size=192,
    depth=6,
    num_groups=12,
    num_classes=len(CLASSES),
)


@dataclass(frozen=True)
class Sibling:
    """One of the bundled models, as it is trained and shipped."""

    name: str
    title: str
    architecture: Architecture
    kind: NetworkKind
    default_solver: str
    least_accuracy: float  # of samples at 50 steps, as the judge reads them
    published_families: tuple[str, ...] | None = None  # None: as good as any other of its schedule
    starts_from: str | None = None  # the sibling whose shipped weights its training begins with

    @property
    def bundle(self) -> Path:
        """The folder that ships."""
        return BUNDLED / self.name

    @property
    def work(self) -> Path:
        """Where checkpoints and sheets are kept while it is trained."""
        return WORK / self.name

    @property
    def weights(self) -> Path:
        """What ships, and is measured."""
        return self.bundle / "model.safetensors"

    def digest(self) -> str:
        """sha256 of the weights that ship: what measurements name them by."""
        with self.weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def checkpoint(self) -> Path:
        return self.work / "generator.safetensors"

    @property
    def figures(self) -> Path:
        return RESULTS / f"{self.name}-quality.json"

    @cached_property
    def latent_shape(self) -> tuple[int, int, int]:
        sizes = self.architecture
        return sizes.in_channels, sizes.input_size, sizes.input_size

    def build(self) -> nn.Module:
        """An initialised network."""
        return self.architecture.build()


GLYPHS = Sibling(
    name="glyphs",
    title="Digits and capital letters, 32x32 in colour",
    architecture=TRANSFORMER,
    kind=NetworkKind("rectified-flow", Prediction.VELOCITY),
    default_solver="ab2",
    least_accuracy=0.95,
)
GLYPHS_DDPM = Sibling(
    name="glyphs-ddpm",
    title="Digits and capital letters, by a DiT that predicts noise",
    architecture=TRANSFORMER,
    kind=NetworkKind("ddpm", Prediction.NOISE),
    default_solver="dpmpp-2m",
    published_families=(),  # dit-xl-256 is behind at 6 and 10 steps
    least_accuracy=0.95,
    starts_from="glyphs",
)
GLYPHS_DCN = Sibling(
    name="glyphs-dcn",
    title="Digits and capital letters, by a FlowDCN",
    architecture=CONVOLUTIONS,
    kind=NetworkKind("rectified-flow", Prediction.VELOCITY),
    default_solver="ab2",
    least_accuracy=0.93,
)

SIBLINGS = {sibling.name: sibling for sibling in (GLYPHS, GLYPHS_DDPM, GLYPHS_DCN)}
