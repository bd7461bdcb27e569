"""Work that is kept piece by piece: one safetensors file each, written whole or not at all.

Every file says in its header what its content follows from, so that pieces of two runs cannot end
up in one result.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from diffusion_core.files import write_atomically
from solver_store.records import JSON

from ..processes import BenchmarkError

ORIGIN = "origin"


@dataclass(frozen=True)
class Chunks:
    """Tensors of `num_items` rows, `size` of them in each file but the last.

    origin  all that the content follows from
    """

    folder: Path
    origin: Mapping[str, JSON]
    num_items: int
    size: int

    def __len__(self) -> int:
        return -(-self.num_items // self.size)

    def span(self, index: int) -> range:
        """Which rows piece `index` holds."""
        first = index * self.size
        return range(first, min(first + self.size, self.num_items))

    def missing(self) -> list[int]:
        """The pieces that are still to be made.

        Raises BenchmarkError at one that is of another origin, of another length or damaged.
        """
        return [index for index in range(len(self)) if not self._is_made(index)]

    def write(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Raises OSError, where the disk is full for instance."""
        metadata = {ORIGIN: json.dumps(self.origin, sort_keys=True)}
        rows = {name: tensor.contiguous() for name, tensor in tensors.items()}
        write_atomically(save(rows, metadata=metadata), self._path(index))

    def read(self, index: int) -> dict[str, Tensor]:
        """Raises BenchmarkError."""
        path = self._path(index)
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise BenchmarkError(f"{path}: {error}; without this file, it is made again") from error

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.safetensors"

    def _is_made(self, index: int) -> bool:
        path = self._path(index)
        if not path.is_file():
            return False
        try:
            with safe_open(path, framework="pt") as file:
                origin = json.loads((file.metadata() or {}).get(ORIGIN, "{}"))
                lengths = {file.get_slice(name).get_shape()[0] for name in file.offset_keys()}
        except (OSError, SafetensorError, ValueError) as error:
            raise BenchmarkError(f"{path}: {error}; without this file, it is made again") from error
        self._check_origin(path, origin)
        if lengths != {len(self.span(index))}:
            raise BenchmarkError(
                f"{path} holds {max(lengths, default=0)} rows, this run has "
                f"{len(self.span(index))} there; without this file, it is made again"
            )
        return True

    def _check_origin(self, path: Path, origin: Mapping[str, JSON]) -> None:
        for name in sorted(origin.keys() | self.origin.keys()):
            theirs, ours = origin.get(name), self.origin.get(name)
            if theirs != ours:
                raise BenchmarkError(
                    f"{path} is from another run: {name} is {json.dumps(theirs)} there, "
                    f"{json.dumps(ours)} here; choose another folder for this one"
                )
