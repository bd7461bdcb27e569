"""Which models and devices there are, for whoever computes: the service and the searches."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from .errors import ModelInvalid, ModelNotFound
from .folders import BUNDLED_MODELS
from .model import CARD_FILE, ModelFolder
from .settings import variable

logger = logging.getLogger(__name__)

DEVICE = variable("device")
MODELS = "models"  # folder in the data folder, for models that were added


def choose_models(home: Path, names: Sequence[str]) -> list[ModelFolder]:
    """The models of these names or folders; without any, all bundled ones and the data folder's.

    Raises ModelNotFound, also where there is none at all, and ModelInvalid where a model that is
    named is broken, or two of those have one name.
    """
    at_hand = _at_hand(home, names)
    wanted = [_find(name, home, at_hand) for name in names] or list(at_hand.values())
    if not wanted:
        raise ModelNotFound(f"no model in {BUNDLED_MODELS} nor in {home / MODELS}")
    chosen: dict[str, ModelFolder] = {}
    for folder in wanted:
        other = chosen.setdefault(folder.card.name, folder)
        if other.path != folder.path:
            raise ModelInvalid(
                f"two models are called {folder.card.name!r}: {other.path} and {folder.path}"
            )
    return list(chosen.values())


def models_at_hand(home: Path, names: Sequence[str]) -> dict[str, ModelFolder]:
    """Every model that there is now, by its name and in alphabetical order.

    names  as `choose_models` has them: a folder that is named stands for its name, whatever else
           is called the same

    What is broken is left out and logged.
    """
    return dict(sorted(_at_hand(home, names).items()))


def find_model(home: Path, names: Sequence[str], name: str) -> ModelFolder:
    """One of the models at hand, or any other folder. Raises ModelNotFound, ModelInvalid."""
    return _find(name, home, _at_hand(home, names))


def find_device(
    name: str, refusal: Callable[[str], Exception], setting: str = DEVICE
) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as torch has it.

    Raises a refusal, in one line that names the setting, where there is no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise refusal(f"{setting}: {name!r} asks for a GPU, torch sees {torch.cuda.device_count()}")
    return device


def _at_hand(home: Path, names: Sequence[str]) -> dict[str, ModelFolder]:
    """The bundled models, the data folder's, then the named ones; the later win."""
    found = _found_in(BUNDLED_MODELS) | _found_in(home / MODELS)
    folders = (Path(name) for name in names if name not in found)
    return found | _by_name(folder for folder in folders if (folder / CARD_FILE).is_file())


def _found_in(root: Path) -> dict[str, ModelFolder]:
    return _by_name(card.parent for card in sorted(root.glob(f"*/{CARD_FILE}")))


def _by_name(folders: Iterable[Path]) -> dict[str, ModelFolder]:
    """Of several with one name the one whose folder is called so, else the first.

    What cannot be read is left out.
    """
    found: dict[str, ModelFolder] = {}
    for path in folders:
        try:
            folder = ModelFolder.read(path)
        except ModelInvalid as error:
            _say_once(f"a model is left out: {error}")
            continue
        name = folder.card.name
        other = found.setdefault(name, folder)
        if other.path.name != name == path.name:  # a copy came first
            found[name], folder = folder, other
        if found[name] is not folder:
            _say_once(f"a model is left out: {folder.path} is called {name}, as {found[name].path}")
    return found


@lru_cache(maxsize=256)
def _say_once(text: str) -> None:
    """The models at hand are looked up at many a request."""
    logger.warning("%s", text)


def _find(name: str, home: Path, at_hand: Mapping[str, ModelFolder]) -> ModelFolder:
    if name in at_hand:
        return at_hand[name]
    for folder in (Path(name), home / MODELS / name):  # the second where its card is broken
        if (folder / CARD_FILE).is_file():
            return ModelFolder.read(folder)
    known = ", ".join(at_hand) or "none"
    raise ModelNotFound(f"{name!r} is no folder with a card; at hand: {known}")
