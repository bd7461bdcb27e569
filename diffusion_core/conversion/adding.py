"""A model's folder in the data folder: added whole, or not at all."""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..card import NAME_PATTERN, Architecture, ModelCard
from ..decoder import SD_LINEAR, VAE, load_vae
from ..errors import ModelExists, ModelInvalid, ModelNotFound
from ..families import Family
from ..files import write_atomically
from ..folders import BUNDLED_MODELS
from ..model import CARD_FILE, ModelFolder, check_fit
from ..networks.blank import blank
from . import diffusers
from .checkpoint import read_checkpoint

WEIGHTS_FILE = "model.safetensors"
VAE_FOLDER = "vae"
UNFINISHED = "unfinished"  # beside the models, so that it can be renamed into its place
# Two numbers in each element, which torch does not sum; our oldest torch does not know them.
PACKED = {getattr(torch, "float4_e2m1fn_x2", None)}

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Addition:
    """What is to be added."""

    family: Family
    checkpoint: Path  # a file, or a folder of diffusers
    name: str
    vae: Path | None = None  # a folder of diffusers

    @property
    def vae_folder(self) -> Path | None:
        """The one given, or the one that lies beside the network."""
        beside = self.checkpoint / diffusers.VAE
        return self.vae or (beside if beside.is_dir() else None)


def add_model(models: Path, addition: Addition, tell: Tell = lambda stage: None) -> ModelFolder:
    """Convert a checkpoint into a folder under `models`.

    tell  is called as each stage begins

    Raises ModelExists, ModelInvalid, and OSError where the disk is full.
    """
    _check_name(addition.name)
    target = models / addition.name
    for known in (target, BUNDLED_MODELS / addition.name):
        if known.exists():
            raise ModelExists(f"there is a model {addition.name!r} already: {known}")
    # A wrong autoencoder is refused here, before minutes of reading.
    vae = None if addition.vae_folder is None else load_vae(addition.vae_folder)
    tell(f"reading {addition.checkpoint}")
    architecture, weights = _fitting(addition)
    with _alone_in(models.parent / UNFINISHED / addition.name) as unfinished, _disk_may_be_full():
        tell("writing the weights")
        _save(weights, unfinished / WEIGHTS_FILE)
        if vae is not None:
            tell(f"writing the autoencoder of {addition.vae_folder}")
            vae.save_pretrained(unfinished / VAE_FOLDER)
        tell("noting the digest")
        card = _card(addition, architecture, unfinished / WEIGHTS_FILE)
        write_atomically(card.model_dump_json(indent=2).encode() + b"\n", unfinished / CARD_FILE)
        for weights_file in unfinished.rglob("*.safetensors"):
            # safetensors lets nobody else read what it writes; a server may be somebody else.
            shutil.copymode(unfinished / CARD_FILE, weights_file)
        models.mkdir(exist_ok=True)
        unfinished.rename(target)
    return ModelFolder.read(target)


def remove_model(models: Path, name: str) -> None:
    """Delete a model's folder. Raises ModelNotFound where there is none of that name."""
    folder = models / name
    if not (folder / CARD_FILE).is_file():
        raise ModelNotFound(f"no model {name!r} in {models}")
    # First out of its place: a server that looks meanwhile finds all of it or nothing.
    removed = models.parent / UNFINISHED / f".removed-{name}"
    shutil.rmtree(removed, ignore_errors=True)
    removed.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(removed)
    shutil.rmtree(removed)


@contextmanager
def _disk_may_be_full() -> Iterator[None]:
    """Raises OSError, which safetensors says in its own way."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"the model is not added: {error}") from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[Path]:
    """An empty folder of this process' own, removed where the work in it fails.

    What a killed process has left there is cleared; one that is at work is not disturbed.
    Raises ModelExists.
    """
    descriptor = _claim(folder)
    try:
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(descriptor)


def _claim(folder: Path) -> int:
    """A descriptor of the folder, locked as long as it is open. Raises ModelExists."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been renamed into its place since it was opened.
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    os.close(descriptor)
    raise ModelExists(f"{folder.name!r} is being added by another process")


def _check_name(name: str) -> None:
    """Before anything is read: a checkpoint takes minutes to convert. Raises ModelInvalid."""
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise ModelInvalid(
            "a model's name must have 1 to 64 small letters, digits, dots, dashes and underscores, "
            f"a letter or digit first, got {name!r:.100}"
        )


def _card(addition: Addition, architecture: Architecture, weights: Path) -> ModelCard:
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    decodes = addition.vae_folder is not None
    return addition.family.card(
        addition.name,
        architecture,
        weights=WEIGHTS_FILE,
        weights_sha256=digest,
        decoder=VAE if decodes else SD_LINEAR,
        vae=VAE_FOLDER if decodes else None,
    )


def _fitting(addition: Addition) -> tuple[Architecture, dict[str, Tensor]]:
    """The architecture as the checkpoint has it, and weights that fit it. Raises ModelInvalid."""
    family, path = addition.family, addition.checkpoint
    architecture = family.architecture
    if path.is_dir():
        if not diffusers.is_diffusers_folder(path) or architecture.network != "dit":
            raise ModelInvalid(
                f"{path}: must be a file, or for a DiT or SiT a folder of diffusers with "
                f"{diffusers.TRANSFORMER}/ in it"
            )
        weights = diffusers.read_transformer(path, architecture)
    else:
        weights = read_checkpoint(path, _parameter_names(architecture))
    architecture = _with_output_of(architecture, weights)
    with blank():
        wanted = architecture.build().state_dict()
    check_fit(f"{path} as {family.name}", wanted, weights)
    _check_numbers(weights, str(path))
    return architecture, weights


def _parameter_names(architecture: Architecture) -> list[str]:
    with blank():
        return [name for name, _ in architecture.build().named_parameters()]


def _with_output_of(architecture: Architecture, weights: dict[str, Tensor]) -> Architecture:
    """With as many output channels as the checkpoint has: published ones have 4 or 8."""
    last = weights.get("final_layer.linear.weight")
    single = architecture.patch_size**2 * architecture.in_channels
    # A slice: a single number has no shape[0].
    rows = () if last is None else last.shape[:1]
    if rows not in ((single,), (2 * single,)):
        return architecture  # what is missing or does not fit is told with all the rest
    return architecture.model_copy(update={"learn_sigma": rows == (2 * single,)})


def _check_numbers(weights: dict[str, Tensor], place: str) -> None:
    """All must be finite floating-point numbers. Raises ModelInvalid."""
    for name, value in weights.items():
        if not value.is_floating_point() or value.dtype in PACKED:
            raise ModelInvalid(f"{place}: {name} holds {value.dtype}, not floating-point numbers")
        # A sum is finite only if all its terms are.
        if not bool(value.sum(dtype=torch.float64).isfinite()):
            raise ModelInvalid(f"{place}: {name} holds values that are not finite numbers")


def _save(weights: dict[str, Tensor], path: Path) -> None:
    save_file(_apart({name: value.contiguous() for name, value in weights.items()}), path)


def _apart(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each in a storage of its own: a checkpoint may keep several tensors in one, or in the same.

    Few are copied: a checkpoint is mapped, and may be larger than the memory.
    """
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, value in weights.items():
        storage = value.untyped_storage()
        shared = storage.nbytes() != value.nbytes or storage.data_ptr() in taken
        apart[name] = value.clone() if shared else value
        taken.add(storage.data_ptr())
    return apart
