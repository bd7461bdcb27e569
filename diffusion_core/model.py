"""A model: its card, its weights, and the registry of those at hand."""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from solver_store.table import Prediction

from .decoder import Decoder, get_decoder
from .errors import ClassNotFound, ModelInvalid, ModelNotFound
from .networks.dit import DiT, DiTConfig
from .program import NetworkKind

CARD_FILE = "card.json"


class DiTArchitecture(BaseModel):
    """Sizes of a DiT or SiT."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    network: Literal["dit"]
    input_size: Annotated[int, Field(ge=1)]
    patch_size: Annotated[int, Field(ge=1)]
    in_channels: Annotated[int, Field(ge=1)]
    hidden_size: Annotated[int, Field(ge=4)]
    depth: Annotated[int, Field(ge=1)]
    num_heads: Annotated[int, Field(ge=1)]
    num_classes: Annotated[int, Field(ge=1)]
    mlp_ratio: float = 4.0
    learn_sigma: bool = False

    def build(self) -> nn.Module:
        """An initialised network of these sizes."""
        return DiT(DiTConfig(**self.model_dump(exclude={"network"})))


class ModelCard(BaseModel):
    """What a model is: everything but its weights. One card.json per model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    title: str
    architecture: DiTArchitecture
    schedule: Literal["rectified-flow", "vp", "ddpm"]
    prediction: Annotated[Prediction, Field(strict=False)]
    time_scale: float  # network time = time_scale * t
    latent_shape: Annotated[tuple[int, int, int], Field(strict=False)]  # channels, height, width
    classes: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    null_class: int
    guided_channels: Annotated[int, Field(ge=1)]  # guidance acts on the first so many channels
    default_guidance_scale: Annotated[float, Field(ge=0, le=50)]
    default_solver: str  # the best classical solver, used where the store knows nothing better
    decoder: str
    weights: str  # file names beside the card
    judge: str | None = None  # classifier for class accuracy and features
    statistics: str | None = None  # reference statistics of those features
    reference_features: str | None = None  # some of those features themselves
    critic: str | None = None  # another network's features, which searches may descend
    critic_statistics: str | None = None  # reference statistics of those
    deterministic_rows: Annotated[int, Field(ge=2)] = 8  # network rows of a deterministic forward
    licence: str
    source: str

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
        if self.guided_channels > sizes.in_channels:
            raise ValueError(f"guided_channels {self.guided_channels} exceed {sizes.in_channels}")
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


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk: a card, and files beside it."""

    path: Path
    card: ModelCard

    @classmethod
    def read(cls, path: Path) -> "ModelFolder":
        """Raises ModelInvalid where the card is missing or breaks a rule."""
        try:
            card = ModelCard.model_validate(json.loads((path / CARD_FILE).read_text("utf-8")))
        except OSError as error:
            raise ModelInvalid(f"{path / CARD_FILE}: {error.strerror}") from error
        except (ValidationError, ValueError) as error:
            raise ModelInvalid(f"{path / CARD_FILE}: {error}") from error
        return cls(path, card)

    @cached_property
    def weights_digest(self) -> str:
        """sha256 of the weights file: what evidence names a model by."""
        with self._open_weights() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _open_weights(self) -> Any:
        try:
            return (self.path / self.card.weights).open("rb")
        except OSError as error:
            raise ModelInvalid(f"{self.path / self.card.weights}: {error.strerror}") from error


@dataclass(frozen=True)
class LoadedModel:
    """A model resident on a device."""

    card: ModelCard
    network: nn.Module
    decoder: Decoder
    digest: str  # sha256 of the weights
    device: torch.device


def load_model(
    folder: ModelFolder, device: torch.device, dtype: torch.dtype = torch.float32
) -> LoadedModel:
    """Build the network, fill it from the safetensors file, move it to the device.

    Raises ModelInvalid where the file is missing, truncated or does not fit the card.
    """
    card = folder.card
    network = card.architecture.build()
    path = folder.path / card.weights
    try:
        weights = load_file(path)
    except (OSError, SafetensorError, struct.error) as error:
        raise ModelInvalid(f"{path}: {error}") from error
    _check_fit(path, network.state_dict(), weights)
    network.load_state_dict(weights)
    network = network.to(device, dtype).eval().requires_grad_(False)
    return LoadedModel(card, network, get_decoder(card.decoder), folder.weights_digest, device)


def _check_fit(
    path: Path, wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]
) -> None:
    missing = sorted(wanted.keys() - given.keys())
    unknown = sorted(given.keys() - wanted.keys())
    shaped = [k for k in wanted.keys() & given.keys() if wanted[k].shape != given[k].shape]
    if missing:
        raise ModelInvalid(f"{path}: {len(missing)} tensors missing, the first is {missing[0]}")
    if unknown:
        raise ModelInvalid(f"{path}: {len(unknown)} tensors unknown, the first is {unknown[0]}")
    if shaped:
        key = min(shaped)
        raise ModelInvalid(
            f"{path}: {key} has shape {tuple(given[key].shape)}, "
            f"the card asks for {tuple(wanted[key].shape)}"
        )


def find_models(root: Path) -> dict[str, ModelFolder]:
    """Every folder under `root` that holds a card, by the card's name.

    Raises ModelInvalid where a card breaks a rule, or two cards share a name.
    """
    found: dict[str, ModelFolder] = {}
    for card_file in sorted(root.glob(f"*/{CARD_FILE}")):
        folder = ModelFolder.read(card_file.parent)
        if folder.card.name in found:
            raise ModelInvalid(f"two models are called {folder.card.name!r}")
        found[folder.card.name] = folder
    return found


def get_model(folders: Mapping[str, ModelFolder], name: str) -> ModelFolder:
    """Raises ModelNotFound, naming those at hand."""
    if name not in folders:
        raise ModelNotFound(f"no model {name!r}; at hand: {', '.join(sorted(folders)) or 'none'}")
    return folders[name]
