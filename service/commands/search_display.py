"""Searches on the terminal: live bars, one for each step count and one for all, lists of jobs.

Where there is no terminal, a line for every stage and every twentieth takes the bars' place.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from ..answers import SearchJobAnswer, SearchProgressAnswer, SearchResultAnswer, SearchSpecAnswer
from ..client import Finished, Found, Progressed, SearchEvent, Started, Stopping, Waiting
from .search_results import found_name


class Bars:
    """The live part, on stderr. Use it as a context."""

    def __init__(self, spec: SearchSpecAnswer, console: Console | None = None):
        self._budget = spec.budget
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
            console=console or Console(stderr=True),
        )
        self._tasks: dict[int, TaskID] = {
            steps: self._progress.add_task(f"{steps} steps", total=1.0, told="waiting")
            for steps in spec.steps
        }
        self._whole = self._progress.add_task("in all", total=1.0, told="")
        self._line_told: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, event: SearchEvent) -> None:
        match event:
            case Progressed():
                self._advance(event.progress)
            case Found():
                self._complete(event.result)
            case Waiting(reason=str(reason)):
                self._progress.console.print(Text(f"waits for a worker again: {reason}"))
            case Stopping():
                self._progress.console.print("ends early and keeps the best so far")
            case Finished():
                self._progress.update(self._whole, told="")
            case Waiting() | Started():
                pass

    def _advance(self, progress: SearchProgressAnswer) -> None:
        left = "" if progress.eta_s is None else f"{duration_text(progress.eta_s)} left"
        self._progress.update(self._whole, completed=progress.fraction, told=left)
        if progress.steps not in self._tasks:
            return
        share = min(1.0, progress.evaluations / self._budget)
        told = progress_text(progress)
        self._progress.update(self._tasks[progress.steps], completed=share, told=told)
        if not self._progress.console.is_terminal:
            self._tell_line(progress, f"{progress.steps} steps: {told}", left)

    def _tell_line(self, progress: SearchProgressAnswer, told: str, left: str) -> None:
        line = (progress.steps, progress.stage, int(20 * progress.fraction))
        if line != self._line_told:
            parts = (f"{progress.fraction:4.0%} {told}", left)
            self._progress.console.print(Text(", ".join(filter(None, parts))))
        self._line_told = line

    def _complete(self, result: SearchResultAnswer) -> None:
        if result.steps in self._tasks:
            told = found_name(result)
            self._progress.update(self._tasks[result.steps], completed=1.0, told=told)


def progress_text(progress: SearchProgressAnswer) -> str:
    """What a step count is at, and its loss."""
    parts = [progress.stage]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4g}")
    return ", ".join(parts)


def duration_text(seconds: float) -> str:
    """1:02:03, 2:03 or 3 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def jobs_table(jobs: Iterable[SearchJobAnswer]) -> Table:
    """Jobs at a glance."""
    id_column = Column("id", no_wrap=True, overflow="ignore", min_width=19)  # to be typed again
    rest = ("posted", "state", "model", "steps", "guidance", "")
    table = Table(id_column, *rest, box=None)
    for job in jobs:
        table.add_row(
            job.id,  # has the date
            f"{job.created_at:%H:%M}",
            job.state.value,
            job.spec.model,
            ",".join(map(str, job.spec.steps)),
            f"{job.spec.guidance_scale:g}",
            Text(job.error or (f"{job.progress.fraction:.0%}" if not job.is_finished else "")),
        )
    return table
