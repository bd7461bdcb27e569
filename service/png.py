"""Pictures as PNG files that carry their provenance: everything needed to make them again.

    signature · IHDR (size) · iTXt (provenance) · IDAT (rows) · IEND

Written out here and not by an imaging library: it takes 20 lines, a third of the time, and the
text chunk needs no library to be understood.

Source: PNG specification, third edition, sections 5 (chunks), 9 (filters) and 11.3.3.4 (iTXt).
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"fewstep"
FILTER_UP = 2  # each row as its difference from the row above
COMPRESSION = 4  # of 9: half the time of 6 for some 2 % more bytes


@dataclass(frozen=True)
class Provenance:
    """What made a picture; `request` asks for it again."""

    model: str
    model_digest: str  # sha256 of the weights
    class_id: int
    class_name: str
    solver: str
    solver_version: int | None  # None for a classical solver
    solver_digest: str  # sha256 of the table
    steps: int
    guidance_scale: float
    seed: int
    deterministic: bool
    fewstep: str  # version of the program

    def request(self) -> dict[str, Any]:
        """The body of a `POST /generate` that makes the same picture."""
        named = self.solver_version is None
        return {
            "model": self.model,
            "class_id": self.class_id,
            "solver": self.solver if named else f"sha256:{self.solver_digest}",
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "seed": self.seed,
            "deterministic": self.deterministic,
        }


class PictureUnreadable(ValueError):
    """Not a PNG file, or one without provenance."""


def encode(pixels: npt.NDArray[np.uint8], provenance: Provenance | None = None) -> bytes:
    """(H, W, 3) -> PNG file; a preview has no provenance, nothing makes it again."""
    height, width, _ = pixels.shape
    rows = pixels.reshape(height, 3 * width)
    filtered = np.empty((height, 1 + 3 * width), dtype=np.uint8)
    filtered[:, 0] = FILTER_UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # modulo 256, as the filter asks
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", size),
            b"" if provenance is None else _text_chunk(provenance),
            _chunk(b"IDAT", zlib.compress(filtered.data, COMPRESSION)),
            _chunk(b"IEND", b""),
        )
    )


def read_provenance(png: bytes) -> Provenance:
    """What made a picture. Raises PictureUnreadable."""
    for kind, content in _chunks(png):
        if kind == b"iTXt" and content.startswith(KEYWORD + b"\0"):
            return _provenance(content[len(KEYWORD) + 5 :])
    raise PictureUnreadable("the picture carries no provenance of fewstep")


def _provenance(text: bytes) -> Provenance:
    try:
        fields = json.loads(text)
        return Provenance(**{name: fields[name] for name in Provenance.__dataclass_fields__})
    except (ValueError, TypeError) as error:
        raise PictureUnreadable(f"the provenance cannot be read: {error}") from None
    except KeyError as error:
        raise PictureUnreadable(f"the provenance lacks {error}") from None


def _text_chunk(provenance: Provenance) -> bytes:
    """Not compressed, and in no language."""
    return _chunk(b"iTXt", KEYWORD + b"\0\0\0\0\0" + json.dumps(asdict(provenance)).encode())


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(SIGNATURE):
        raise PictureUnreadable("not a PNG file")
    position = len(SIGNATURE)
    while position + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, position)
        yield png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        position += length + 12
