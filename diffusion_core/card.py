"""The card of a model: what it is, everything but its weights."""

from abc import abstractmethod
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import nn

from solver_store.errors import InvalidReference
from solver_store.published import published_tables
from solver_store.reference import check_name
from solver_store.table import MAX_NFE, Prediction, SolverTable

from .classic import CLASSICAL_SOLVERS, classical_table, is_classical
from .errors import ClassNotFound, TableMismatch
from .networks.dit import DiT, DiTConfig
from .networks.flowdcn import FlowDCN, FlowDCNConfig
from .program import NetworkKind, compile_program

MAX_FAMILIES = 16  # each is looked up in the store
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
FileName = Annotated[str, Field(pattern=r"^[^\x00]+$")]  # beside the card
CHANNELS_OF_DECODERS = {"pixels": 3, "vae": 4, "sd-linear": 4}


class Sizes(BaseModel):
    """What every network of latent patches has, whatever lies between.

    The bounds are far beyond any network: a slip of the pen is refused here, and not built.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    network: str  # which of them
    input_size: Annotated[int, Field(ge=1, le=1024)]
    patch_size: Annotated[int, Field(ge=1, le=1024)]
    in_channels: Annotated[int, Field(ge=1, le=1024)]
    hidden_size: Annotated[int, Field(ge=4, le=32768)]
    depth: Annotated[int, Field(ge=1, le=1024)]
    num_classes: Annotated[int, Field(ge=1, le=1_000_000)]
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

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

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
    published_families: Annotated[
        tuple[str, ...] | None, Field(strict=False, max_length=MAX_FAMILIES)
    ] = None
    decoder: Literal["pixels", "vae", "sd-linear"]
    weights: FileName
    weights_sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None
    vae: FileName | None = None  # folder of the autoencoder
    judge: FileName | None = None  # classifier for class accuracy and features
    statistics: FileName | None = None  # reference statistics of those features
    reference_features: FileName | None = None  # some of those features themselves
    critic: FileName | None = None  # another network's features, which searches may descend
    critic_statistics: FileName | None = None  # reference statistics of those
    deterministic_rows: Annotated[int, Field(ge=2, le=1024)] = 8  # of a deterministic forward
    licence: str
    source: str

    @field_validator("default_solver")
    @classmethod
    def _is_known(cls, solver: str) -> str:
        if not is_classical(solver):
            known = ", ".join(CLASSICAL_SOLVERS)
            raise ValueError(f"no classical solver {solver!r}; there are {known}")
        return solver

    @field_validator("published_families")
    @classmethod
    def _are_names(cls, families: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for family in families or ():
            try:
                check_name(f"{family}-{MAX_NFE}")
            except InvalidReference as error:
                raise ValueError(str(error)) from error
        return families

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

    @model_validator(mode="after")
    def _solvers_fit(self) -> "ModelCard":
        """So that `auto` always has an answer.

        A family that is not published may come into the store, and is looked at when it is used.
        """
        solver = self.default_solver
        for steps in (1, 2):  # Heun's second evaluation stands where the noise has ended
            table = classical_table(solver, self.schedule, steps)
            _check_fit("default_solver", solver, table, self.kind)
        for published in published_tables():
            if published.family in (self.published_families or ()):
                _check_fit("published_families", published.name, published.table, self.kind)
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


def _check_fit(field: str, solver: str, table: SolverTable, kind: NetworkKind) -> None:
    """Raises ValueError where a table cannot drive such a network."""
    try:
        compile_program(table, kind)
    except TableMismatch as error:
        raise ValueError(f"{field}: {solver} does not fit: {error}") from error
