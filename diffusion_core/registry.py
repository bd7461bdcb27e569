"""Which models and devices there are, for whoever computes: the service and the searches."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from .errors import ModelInvalid, ModelNotFound
from .folders import BUNDLED_MODELS
from .model import CARD_FILE, ModelFolder, find_models

MODELS = "models"  # folder in the data folder, for models that were added


def choose_models(home: Path, names: Sequence[str]) -> list[ModelFolder]:
    """The models of these names or folders; without any, all bundled ones and the data folder's.

    Raises ModelNotFound, also where there is none at all, and ModelInvalid.
    """
    at_hand = find_models(BUNDLED_MODELS) | find_models(home / MODELS)
    wanted = [_find_model(name, at_hand) for name in names] or list(at_hand.values())
    if not wanted:
        raise ModelNotFound(f"no model in {BUNDLED_MODELS} nor in {home / MODELS}")
    return wanted


def models_at_hand(home: Path, names: Sequence[str]) -> dict[str, ModelFolder]:
    """What `choose_models` would find now, in alphabetical order; what is broken is left out."""
    cards = [
        *(home / MODELS).glob(f"*/{CARD_FILE}"),
        *BUNDLED_MODELS.glob(f"*/{CARD_FILE}"),
        *(Path(name) / CARD_FILE for name in names),
    ]
    found: dict[str, ModelFolder] = {}
    for card in cards:
        try:
            model = ModelFolder.read(card.parent)
        except ModelInvalid:
            continue
        found.setdefault(model.card.name, model)
    return dict(sorted(found.items()))


def find_device(name: str) -> torch.device | None:
    """`auto`, `cpu`, `cuda` or `cuda:N` as torch has it; None where there is no such GPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        return None
    return device


def _find_model(name: str, at_hand: Mapping[str, ModelFolder]) -> ModelFolder:
    if name in at_hand:
        return at_hand[name]
    if (Path(name) / CARD_FILE).is_file():
        return ModelFolder.read(Path(name))
    known = ", ".join(at_hand) or "none"
    raise ModelNotFound(f"{name!r} is no folder with a card; at hand: {known}")
