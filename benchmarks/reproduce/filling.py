"""The pieces that are missing, made by one process or many."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from search_jobs.search import Shard

from .chunks import Chunks

Tell = Callable[[int], None]  # so many more are done
Make = Callable[[range, Tell], Mapping[str, Tensor]]


def fill(chunks: Chunks, make: Make, shard: Shard, title: str) -> None:
    """Make and keep every piece that is missing; ends when all processes are done.

    make  rows of these numbers, whatever process makes them

    Raises what `make` raises, BenchmarkError at pieces of another run, SearchError where another
    process has failed.
    """
    missing = shard.of_first(chunks.missing)
    num_items = sum(len(chunks.span(index)) for index in missing)
    with _bar(title, num_items, shard) as tell:

        def make_one(index: int) -> None:
            chunks.write(index, make(chunks.span(index), tell))

        shard.map(make_one, missing)


@contextmanager
def _bar(title: str, total: int, shard: Shard) -> Iterator[Tell]:
    """The first process tells; it takes the others to be as fast as itself."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not (total and shard.is_first)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count * shard.size)
        progress.update(task, completed=total)
