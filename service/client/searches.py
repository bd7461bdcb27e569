"""Searches: what to ask for, and what happens to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..answers import SearchProgressAnswer, SearchResultAnswer
from .event_lines import SentEvent, reading


@dataclass(frozen=True)
class Search:
    """What to search; whatever is None is for the server to choose."""

    steps: int | Sequence[int]
    model: str | None = None
    guidance_scale: float | None = None
    method: str | None = None
    objective: str | None = None
    budget: int | None = None  # network evaluations for each step count
    seed: int | None = None
    promote: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Waiting:
    """The search was accepted, or waits again because its worker was lost."""

    number: int
    reason: str | None = None  # why it waits again


@dataclass(frozen=True)
class Started:
    """A worker has taken it."""

    number: int


@dataclass(frozen=True)
class Progressed:
    """How far it is."""

    number: int
    progress: SearchProgressAnswer


@dataclass(frozen=True)
class Found:
    """Something was found for one step count."""

    number: int
    result: SearchResultAnswer


@dataclass(frozen=True)
class Stopping:
    """It was asked to end now and keep the best so far."""

    number: int


@dataclass(frozen=True)
class Finished:
    """It has ended."""

    number: int
    state: str  # succeeded, failed or cancelled
    error: str | None  # why it failed


SearchEvent = Waiting | Started | Progressed | Found | Stopping | Finished


def search_event(sent: SentEvent) -> SearchEvent | None:
    """An event of the stream, read; None for one that only newer servers send.

    Raises AnswerUnreadable.
    """
    number = sent.number or 0
    with reading(sent.name):
        match sent.name:
            case "queued":
                return Waiting(number, sent.data.get("reason"))
            case "started":
                return Started(number)
            case "progress":
                return Progressed(number, SearchProgressAnswer.model_validate(sent.data))
            case "result":
                return Found(number, SearchResultAnswer.model_validate(sent.data))
            case "stopping":
                return Stopping(number)
            case "finished":
                return Finished(number, sent.data["state"], sent.data.get("error"))
            case _:
                return None
