"""All images in one file, as ADM's evaluator reads them: `arr_0` (N, H, W, 3) uint8 in an .npz."""

import zipfile
from pathlib import Path

import numpy as np

from diffusion_core.adm.reference import PICTURES

from .chunks import Chunks

IMAGES = "images"  # what they are called in the pieces


def write_archive(images: Chunks, path: Path) -> None:
    """Write the pieces one after another; never holds more than one.

    Raises BenchmarkError where one cannot be read, OSError.
    """
    temporary = path.with_suffix(".tmp")
    try:
        _write(images, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(images: Chunks, path: Path) -> None:
    height, width, channels = images.read(0)[IMAGES].shape[1:]
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)),
        "fortran_order": False,
        "shape": (images.num_items, height, width, channels),
    }
    # Without a time of its own: equal images then make equal files.
    entry = zipfile.ZipInfo(f"{PICTURES}.npy")
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive,
        archive.open(entry, "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        for index in range(len(images)):
            file.write(images.read(index)[IMAGES].numpy().data)
