"""A model on disk and on a device: its card, its weights, and those at hand."""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from .card import ModelCard
from .decoder import Decoder, get_decoder
from .errors import ModelInvalid, ModelNotFound

CARD_FILE = "card.json"


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
