"""A model on disk and on a device: its card, its weights, and those at hand."""

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from .card import ModelCard
from .decoder import NOT_FOR_DECODING, Decoder, load_decoder
from .errors import ModelInvalid, ModelNotFound, ModelTooLarge
from .memory import available_memory, if_room, in_words
from .networks.blank import blank
from .networks.packed import can_pack, pack_linear_layers
from .tensors import load_tensors, num_elements

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
            # As JSON, not as what `json` makes of it: that takes nests without end, and what is no
            # text, of which no answer could be made.
            card = ModelCard.model_validate_json((path / CARD_FILE).read_bytes())
        except OSError as error:
            raise ModelInvalid(f"{path / CARD_FILE}: {error.strerror}") from error
        except ValidationError as error:
            raise ModelInvalid(f"{path / CARD_FILE}: {error}") from error
        return cls(path, card)

    @cached_property
    def weights_digest(self) -> str:
        """sha256 of the weights file: what evidence names a model by."""
        with self._open_weights() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def num_bytes(self, dtype: torch.dtype) -> int:
        """What the network and its decoder take on a device, in whatever type they are stored.

        A damaged file is taken for float32, a missing one for nothing: it is loading that refuses
        them.
        """
        count = _num_elements(self.path / self.card.weights)
        if self.card.vae is not None:
            with suppress(OSError):  # a name that no folder can have
                for file in (self.path / self.card.vae).glob("*.safetensors"):
                    count += _num_elements(file, without=NOT_FOR_DECODING)
        return dtype.itemsize * count

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

    @property
    def num_bytes(self) -> int:
        """What it holds on its device."""
        tensors = self.network.state_dict().values()
        return self.decoder.num_bytes + sum(t.numel() * t.element_size() for t in tensors)


def load_model(
    folder: ModelFolder, device: torch.device, dtype: torch.dtype = torch.float32
) -> LoadedModel:
    """Build the network around its memory-mapped weights and move it to the device, once.

    Raises ModelInvalid where a file is missing, damaged or does not fit the card, ModelTooLarge
    where the device has no room for it.
    """
    check_room(folder, device, dtype)
    return load_checked_model(folder, device, dtype)


def load_checked_model(
    folder: ModelFolder, device: torch.device, dtype: torch.dtype
) -> LoadedModel:
    """`load_model` after `check_room`, for which whoever shares the device has a better moment."""
    model = if_room(partial(_load, folder, device, dtype))
    if model is None:
        raise ModelTooLarge(f"{folder.card.name}: memory ran out while it was loaded on {device}")
    return model


def _load(folder: ModelFolder, device: torch.device, dtype: torch.dtype) -> LoadedModel:
    card = folder.card
    with blank():
        network = card.architecture.build()
    path = folder.path / card.weights
    weights = load_tensors(path)
    check_fit(str(path), network.state_dict(), weights)
    if card.weights_sha256 not in (None, folder.weights_digest):
        raise ModelInvalid(
            f"{path}: damaged: its sha256 is {folder.weights_digest}, not {card.weights_sha256}"
        )
    network.load_state_dict(weights, assign=True)
    del weights
    settle(network.eval().requires_grad_(False), device, dtype)
    vae = None if card.vae is None else folder.path / card.vae
    decoder = load_decoder(card.decoder, vae, device, dtype)
    return LoadedModel(card, network, decoder, folder.weights_digest, device)


def settle(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Bring a network from its mapped file to where it computes, one tensor after the other."""
    if not can_pack(device, dtype):
        network.to(device, dtype)
        return
    pack_linear_layers(network, dtype)
    for parameter in network.parameters():
        # A copy in any case: a single tensor that is left in the file would keep all of it mapped.
        parameter.data = parameter.data.to(dtype, copy=True)


def _num_elements(path: Path, without: Collection[str] = ()) -> int:
    try:
        return num_elements(path, without)
    except ModelInvalid:
        with suppress(OSError):
            return path.stat().st_size // torch.float32.itemsize
        return 0


def check_room(
    folder: ModelFolder, device: torch.device, dtype: torch.dtype, left_free: int = 0
) -> None:
    """Raises ModelTooLarge where the device has no room for it.

    left_free  bytes that must be there afterwards, for what others do from time to time
    """
    free = available_memory(device)
    needed = folder.num_bytes(dtype)
    if free is not None and needed + left_free > free:
        others = f", and what runs there {in_words(left_free)}" if left_free else ""
        raise ModelTooLarge(
            f"{folder.card.name} needs {in_words(needed)} on {device}{others}, "
            f"{in_words(free)} are free"
        )


def check_fit(
    source: str, wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]
) -> None:
    """Names and shapes must be the same. Raises ModelInvalid with the first that is not."""
    missing = sorted(wanted.keys() - given.keys())
    unknown = sorted(given.keys() - wanted.keys())
    shaped = [k for k in wanted.keys() & given.keys() if wanted[k].shape != given[k].shape]
    if missing:
        others = f"; {len(unknown)} unknown, the first is {unknown[0]}" if unknown else ""
        raise ModelInvalid(
            f"{source}: {len(missing)} tensors missing, the first is {missing[0]}{others}"
        )
    if unknown:
        raise ModelInvalid(f"{source}: {len(unknown)} tensors unknown, the first is {unknown[0]}")
    if shaped:
        key = min(shaped)
        raise ModelInvalid(
            f"{source}: {key} has shape {tuple(given[key].shape)}, "
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
