"""Reference files of ADM's evaluator: `VIRTUAL_imagenet256_labeled.npz` and its like.

    mu, sigma       (2048,), (2048, 2048)  pool features of all real pictures
    mu_s, sigma_s   (2023,), (2023, 2023)  spatial ones
    arr_0           (R, H, W, 3) uint8     some of these pictures, for precision and recall

Source: github.com/openai/guided-diffusion, evaluations/.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelInvalid
from ..networks.inception import NUM_POOL, NUM_SPATIAL
from ..quality import FeatureStatistics
from ..quality.neighbours import NUM_NEIGHBOURS
from .figures import InceptionReference

PICTURES = "arr_0"
# The files do not say of how many pictures. It cancels: only the covariance is asked for again.
NUM_TRAINING_PICTURES = 1_281_167


@dataclass(frozen=True)
class AdmReference:
    """A file whose parts have been looked at; its pictures stay where they are."""

    path: Path
    shape: tuple[int, int, int, int]  # of its pictures

    @classmethod
    def open(cls, path: Path) -> "AdmReference":
        """Raises ModelInvalid where a part is missing or of another shape."""
        try:
            with zipfile.ZipFile(path) as archive:
                held = {name.removesuffix(".npy") for name in archive.namelist()}
                missing = {"mu", "sigma", "mu_s", "sigma_s", PICTURES} - held
                if missing:
                    raise ModelInvalid(f"{path}: has no {', '.join(sorted(missing))}")
                shape = _check_pictures(path, archive)
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise ModelInvalid(f"{path}: {error}") from error
        reference = cls(path, shape)
        reference.statistics()
        return reference

    def __len__(self) -> int:
        return self.shape[0]

    def statistics(self) -> InceptionReference:
        """Raises ModelInvalid."""
        try:
            with np.load(self.path, allow_pickle=False) as arrays:
                return InceptionReference(
                    pool=_statistics(arrays["mu"], arrays["sigma"], NUM_POOL),
                    spatial=_statistics(arrays["mu_s"], arrays["sigma_s"], NUM_SPATIAL),
                )
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise ModelInvalid(f"{self.path}: {error}") from error

    def pictures(self, span: range) -> Tensor:
        """(len(span), H, W, 3) uint8, read without the ones after them. Raises ModelInvalid."""
        num_bytes = int(np.prod(self.shape[1:]))
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{PICTURES}.npy") as file:
                _read_header(file)
                file.seek(span.start * num_bytes, 1)
                content = bytearray(file.read(len(span) * num_bytes))
        except (OSError, zipfile.BadZipFile) as error:
            raise ModelInvalid(f"{self.path}: {error}") from error
        if len(content) != len(span) * num_bytes:
            raise ModelInvalid(f"{self.path}: {PICTURES} ends before its {self.shape[0]} pictures")
        return torch.frombuffer(content, dtype=torch.uint8).view(len(span), *self.shape[1:])


def _check_pictures(path: Path, archive: zipfile.ZipFile) -> tuple[int, int, int, int]:
    with archive.open(f"{PICTURES}.npy") as file:
        shape, by_column, dtype = _read_header(file)
    if dtype != np.uint8 or by_column or len(shape) != 4 or shape[3] != 3:
        raise ModelInvalid(
            f"{path}: {PICTURES} must be pictures (N, H, W, 3) of uint8, "
            f"got {tuple(shape)} of {dtype}"
        )
    if shape[0] <= NUM_NEIGHBOURS:
        raise ModelInvalid(f"{path}: must hold more than {NUM_NEIGHBOURS} pictures, got {shape[0]}")
    return shape[0], shape[1], shape[2], shape[3]


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether column by column, and type of the array that follows. Raises ValueError."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _statistics(mean: np.ndarray, covariance: np.ndarray, num: int) -> FeatureStatistics:
    if mean.shape != (num,):
        raise ValueError(f"means must be of {num} features, got {mean.shape}")
    return FeatureStatistics.of_moments(
        NUM_TRAINING_PICTURES, torch.from_numpy(mean), torch.from_numpy(covariance)
    )
