"""Files that survive a kill at any moment."""

import os
import threading
from contextlib import suppress
from pathlib import Path


def write_atomically(payload: bytes, path: Path) -> None:
    """Replace a file so that a reader finds the old content or the new, never a part.

    Raises OSError that names the file; what was written of it by then is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        _write(payload, temporary)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()  # on a full disk, a part of a file is in everybody's way
        error.filename = str(path)  # a failed write does not say where it was
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def temporary_beside(path: Path) -> Path:
    """Where this thread writes first: others may be at the same file, in caches that are shared."""
    return path.with_name(f"{path.name}.{os.getpid()}-{threading.get_native_id()}.tmp")


def _write(payload: bytes, path: Path) -> None:
    with path.open("wb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
