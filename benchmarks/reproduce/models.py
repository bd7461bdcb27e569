"""The model to sample: a checkpoint that is converted for it, or one that was added before."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from diffusion_core.card import ModelCard
from diffusion_core.conversion import Addition, add_model
from diffusion_core.decoder import SD_LINEAR
from diffusion_core.families import Family, get_family
from diffusion_core.model import CARD_FILE, ModelFolder
from diffusion_core.registry import choose_models

from ..processes import BenchmarkError

NUM_DIGITS = 12  # of a digest in a name


@dataclass(frozen=True)
class GivenCheckpoint:
    """Files as they were downloaded."""

    family: Family
    checkpoint: Path
    vae: Path | None  # None: it lies beside the network, in a folder of diffusers

    def find(self, models: Path) -> ModelFolder:
        """Converted into a folder under `models`, once.

        Raises BenchmarkError where a file is missing, ModelInvalid where one does not fit.
        """
        for path in filter(None, (self.checkpoint, self.vae)):
            if not path.exists():
                raise BenchmarkError(f"no such file: {path}")
        # What it was made from is in its name: other files never pass for these.
        digest = digest_of(self.checkpoint, *filter(None, [self.vae]))
        name = f"{self.family.name}-{digest[:NUM_DIGITS]}"
        if (models / name / CARD_FILE).is_file():
            return ModelFolder.read(models / name)
        return add_model(models, Addition(self.family, self.checkpoint, name, self.vae))


@dataclass(frozen=True)
class AddedModel:
    """By the name that it was added under."""

    name: str
    home: Path  # data folder

    def find(self, models: Path) -> ModelFolder:
        """Raises ModelNotFound, ModelInvalid."""
        [folder] = choose_models(self.home, [self.name])
        return folder


ModelSource = GivenCheckpoint | AddedModel


def find_model(source: ModelSource, models: Path) -> ModelFolder:
    """The model, which must be able to make pictures. Raises BenchmarkError, DiffusionError."""
    folder = source.find(models)
    if folder.card.decoder == SD_LINEAR:
        raise BenchmarkError(
            f"{folder.card.name} has no autoencoder: its pictures would be small estimates"
        )
    return folder


def is_of_family(card: ModelCard, name: str) -> bool:
    """Whether it is the network of that family, on its schedule, as far as a card tells."""
    family = get_family(name)
    sizes = family.architecture
    # Whether it learnt sigma is as its checkpoint has it.
    found = card.architecture.model_copy(update={"learn_sigma": sizes.learn_sigma})
    return (found, card.schedule, card.prediction) == (sizes, family.schedule, family.prediction)


def autoencoder_digest(folder: ModelFolder) -> str | None:
    """sha256 of its weights and its configuration; None for a model that draws pixels.

    Raises OSError, BenchmarkError.
    """
    if folder.card.vae is None:
        return None
    vae = folder.path / folder.card.vae
    weights = digest_of(*sorted(vae.glob("*.safetensors")))
    return hashlib.sha256(f"{weights} {_configuration(vae)}".encode()).hexdigest()


def _configuration(vae: Path) -> str:
    """Canonical JSON: by how much latents are scaled and shifted lies here, beside the sizes.

    Without what diffusers notes of itself, such as its version and where the folder was.
    """
    path = vae / "config.json"
    try:
        entries = json.loads(path.read_text("utf-8")).items()
    except (ValueError, AttributeError) as error:
        raise BenchmarkError(f"{path} holds no configuration: {error}") from error
    told = {name: value for name, value in entries if not name.startswith("_")}
    return json.dumps(told, sort_keys=True)


def digest_of(*paths: Path) -> str:
    """sha256 of files, and of the files in folders. Raises OSError."""
    total = hashlib.sha256()
    for path in paths:
        for file in _files(path):
            with file.open("rb") as content:
                total.update(hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())
    else:
        yield path
