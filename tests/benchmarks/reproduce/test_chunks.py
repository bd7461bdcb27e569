"""Pieces of work, and whose they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.processes import BenchmarkError
from benchmarks.reproduce.archive import IMAGES, write_archive
from benchmarks.reproduce.chunks import Chunks
from benchmarks.reproduce.filling import Tell, fill
from search_jobs.search import Shard


@pytest.fixture
def chunks(tmp_path: Path) -> Chunks:
    return Chunks(tmp_path / "images", {"model": "a", "seed": 0}, num_items=10, size=4)


def numbered(span: range, tell: Tell) -> dict[str, torch.Tensor]:
    """Image i is of level i."""
    tell(len(span))
    return {IMAGES: torch.tensor(span, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 3, 3)}


def test_the_last_piece_is_what_is_left(chunks: Chunks) -> None:
    assert [chunks.span(index) for index in range(len(chunks))] == [
        range(4),
        range(4, 8),
        range(8, 10),
    ]


def test_what_was_cut_off_goes_on_with_what_is_missing(chunks: Chunks) -> None:
    made: list[range] = []

    def killed_at_the_second(span: range, tell: Tell) -> dict[str, torch.Tensor]:
        if span.start == 4 and not made[1:]:
            made.append(span)
            raise KeyboardInterrupt
        made.append(span)
        return numbered(span, tell)

    with pytest.raises(KeyboardInterrupt):
        fill(chunks, killed_at_the_second, Shard(), "making")
    assert chunks.missing() == [1, 2]
    fill(chunks, killed_at_the_second, Shard(), "making")
    assert made == [range(4), range(4, 8), range(4, 8), range(8, 10)]
    assert chunks.missing() == []


def test_a_piece_half_written_is_no_piece(chunks: Chunks) -> None:
    chunks.folder.mkdir()
    (chunks.folder / "000000.safetensors.tmp").write_bytes(b"half")
    assert chunks.missing() == [0, 1, 2]


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ({"model": "b", "seed": 0}, 'model is "a" there, "b" here'),
        ({"model": "a", "seed": 5}, "seed is 0 there, 5 here"),
        ({"model": "a", "seed": 0, "new": 1}, "new is null there, 1 here"),
    ],
)
def test_a_piece_of_another_run_is_refused(chunks: Chunks, origin, words: str) -> None:
    fill(chunks, numbered, Shard(), "making")
    with pytest.raises(BenchmarkError, match=f"from another run: {words}"):
        replace(chunks, origin=origin).missing()


def test_a_run_can_be_made_longer_but_a_short_last_piece_is_in_its_way(chunks: Chunks) -> None:
    fill(replace(chunks, num_items=8), numbered, Shard(), "making")
    assert chunks.missing() == [2]
    fill(chunks, numbered, Shard(), "making")
    with pytest.raises(BenchmarkError, match="holds 2 rows, this run has 4 there"):
        replace(chunks, num_items=12).missing()


def test_a_damaged_piece_is_named(chunks: Chunks) -> None:
    fill(chunks, numbered, Shard(), "making")
    damaged = chunks.folder / "000001.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:50])
    with pytest.raises(BenchmarkError, match=r"000001\.safetensors: .*it is made again"):
        chunks.missing()


def test_numpy_reads_the_archive_as_one_array(chunks: Chunks, tmp_path: Path) -> None:
    fill(chunks, numbered, Shard(), "making")
    write_archive(chunks, tmp_path / "samples.npz")
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as arrays:
        assert list(arrays) == ["arr_0"]
        images = arrays["arr_0"]
    assert images.shape == (10, 2, 3, 3)
    assert images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == list(range(10))
    assert not list(tmp_path.glob("*.tmp"))
