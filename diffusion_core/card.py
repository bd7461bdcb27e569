"""The card of a model: what it is, everything but its weights."""

from abc import abstractmethod
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import nn

from solver_store.table import Prediction

from .classic import CLASSICAL_SOLVERS, is_classical
from .errors import ClassNotFound
from .networks.dit import DiT, DiTConfig
from .networks.flowdcn import FlowDCN, FlowDCNConfig
from .program import NetworkKind

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
CHANNELS_OF_DECODERS = {"pixels": 3, "vae": 4, "sd-linear": 4}


class Sizes(BaseModel):
    """What every network of latent patches has, whatever lies between."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    network: str  # which of them
    input_size: Annotated[int, Field(ge=1)]
    patch_size: Annotated[int, Field(ge=1)]
    in_channels: Annotated[int, Field(ge=1)]
    hidden_size: Annotated[int, Field(ge=4)]
    depth: Annotated[int, Field(ge=1)]
    num_classes: Annotated[int, Field(ge=1)]
    mlp_ratio: Annotated[float, Field(gt=0, le=64)] = 4.0
    learn_sigma: bool = False

    @property
    @abstractmethod
    def config(self) -> DiTConfig | FlowDCNConfig:
        """The same for the network. Raises ValueError where there is none of these sizes."""

    @abstractmethod
    def build(self) -> nn.Module:
        """An initialised network of these sizes."""

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        _ = self.config  # which knows the rules
        return self


class DiTArchitecture(Sizes):
    """Sizes of a DiT or SiT."""

    network: Literal["dit"]
    num_heads: Annotated[int, Field(ge=1)]

    @property
    def config(self) -> DiTConfig:
        return DiTConfig(**self.model_dump(exclude={"network"}))

    def build(self) -> nn.Module:
        return DiT(self.config)


class FlowDCNArchitecture(Sizes):
    """Sizes of a FlowDCN."""

    network: Literal["flowdcn"]
    num_groups: Annotated[int, Field(ge=1)]

    @property
    def config(self) -> FlowDCNConfig:
        return FlowDCNConfig(**self.model_dump(exclude={"network"}))

    def build(self) -> nn.Module:
        return FlowDCN(self.config)


Architecture = DiTArchitecture | FlowDCNArchitecture


class ModelCard(BaseModel):
    """What a model is: everything but its weights. One card.json per model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    title: str
    architecture: Annotated[Architecture, Field(discriminator="network")]
    schedule: Literal["rectified-flow", "vp", "ddpm"]
    prediction: Annotated[Prediction, Field(strict=False)]
    time_scale: float  # network time = time_scale * t
    latent_shape: Annotated[tuple[int, int, int], Field(strict=False)]  # channels, height, width
    classes: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    null_class: Annotated[int, Field(ge=0)]  # its row in the network's table of labels
    guided_channels: Annotated[int, Field(ge=1)]  # guidance acts on the first so many channels
    default_guidance_scale: Annotated[float, Field(ge=0, le=50)]
    default_solver: str  # the best classical solver, used where the store knows nothing better
    # Published tables that come before it; where not given, those that the schedule has.
    published_families: Annotated[tuple[str, ...] | None, Field(strict=False)] = None
    decoder: Literal["pixels", "vae", "sd-linear"]
    weights: str  # file names beside the card
    weights_sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    vae: str | None = None  # folder of the autoencoder
    judge: str | None = None  # classifier for class accuracy and features
    statistics: str | None = None  # reference statistics of those features
    reference_features: str | None = None  # some of those features themselves
    critic: str | None = None  # another network's features, which searches may descend
    critic_statistics: str | None = None  # reference statistics of those
    deterministic_rows: Annotated[int, Field(ge=2)] = 8  # network rows of a deterministic forward
    licence: str
    source: str

    @field_validator("default_solver")
    @classmethod
    def _is_known(cls, solver: str) -> str:
        if not is_classical(solver):
            known = ", ".join(CLASSICAL_SOLVERS)
            raise ValueError(f"no classical solver {solver!r}; there are {known}")
        return solver

    @model_validator(mode="after")
    def _sizes_agree(self) -> "ModelCard":
        sizes = self.architecture
        latent = (sizes.in_channels, sizes.input_size, sizes.input_size)
        if self.latent_shape != latent:
            raise ValueError(
                f"latent_shape {self.latent_shape} differs from the network's {latent}"
            )
        if len(self.classes) != sizes.num_classes:
            raise ValueError(f"{len(self.classes)} classes named, network has {sizes.num_classes}")
        if self.null_class > sizes.num_classes:
            raise ValueError(
                f"null_class {self.null_class} has no row in the network's table of labels, "
                f"the last one is {sizes.num_classes}"
            )
        if self.guided_channels > sizes.in_channels:
            raise ValueError(f"guided_channels {self.guided_channels} exceed {sizes.in_channels}")
        if (self.decoder == "vae") != (self.vae is not None):
            raise ValueError("a folder `vae` is needed for the decoder vae, and for no other")
        channels = CHANNELS_OF_DECODERS[self.decoder]
        if sizes.in_channels != channels:
            raise ValueError(
                f"the decoder {self.decoder} reads {channels} channels, "
                f"the network has {sizes.in_channels}"
            )
        return self

    @property
    def kind(self) -> NetworkKind:
        return NetworkKind(self.schedule, self.prediction, self.time_scale)

    def class_name(self, class_id: int) -> str:
        """Raises ClassNotFound."""
        if not 0 <= class_id < len(self.classes):
            raise ClassNotFound(
                f"class_id must lie in [0, {len(self.classes) - 1}] for {self.name}, got {class_id}"
            )
        return self.classes[class_id]
