"""Files that are replaced whole."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from diffusion_core.files import temporary_beside, write_atomically


def test_several_may_write_one_file_at_a_time(tmp_path: Path) -> None:
    """As two searches that compute the same block of a teacher."""
    path = tmp_path / "block"
    contents = [bytes([n]) * 10_000 for n in range(4)]

    def write(content: bytes) -> None:
        for _ in range(50):
            write_atomically(content, path)

    with ThreadPoolExecutor(len(contents)) as pool:
        list(pool.map(write, contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_what_could_not_be_written_leaves_nothing_and_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "block"
    path.write_bytes(b"old")
    temporary_beside(path).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(b"new" * 10_000, path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
