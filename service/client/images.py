"""Images: what to ask for, and what happens while they are made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..answers import ImageAnswer, ProblemAnswer
from .errors import AnswerUnreadable, ProblemError
from .event_lines import SentEvent, reading


@dataclass(frozen=True)
class Order:
    """What to make; whatever is None is for the server to choose."""

    class_id: int
    steps: int
    model: str | None = None
    solver: str = "auto"
    guidance_scale: float | None = None
    guided_channels: int | None = None
    seed: int | None = None
    num_images: int = 1
    deterministic: bool = False
    deadline_ms: int | None = None
    preview: bool = False

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Queued:
    """The order as the server took it."""

    id: str
    order: Mapping[str, Any]


@dataclass(frozen=True)
class Stepped:
    """An image advanced."""

    index: int
    step: int
    steps: int
    preview: str | None  # PNG in base64, if the order asked for previews


@dataclass(frozen=True)
class Made:
    """An image is done."""

    index: int
    image: ImageAnswer


@dataclass(frozen=True)
class Lost:
    """An image will not come."""

    index: int
    error: ProblemError


@dataclass(frozen=True)
class Done:
    """The stream has ended."""

    num_images: int
    num_lost: int
    timing_ms: Mapping[str, float] | None


Event = Queued | Stepped | Made | Lost | Done


def image_events(stream: Iterator[SentEvent]) -> Iterator[Event]:
    """The events of a whole stream, read. Raises AnswerUnreadable for one that is not of ours."""
    event = None
    for sent in stream:
        if event is None and sent.name != "queued":
            raise AnswerUnreadable("the stream of images does not begin with `queued`")
        event = _image_event(sent)
        yield event
    if not isinstance(event, Done):
        raise AnswerUnreadable("the stream of images ended without `done`")


def _image_event(sent: SentEvent) -> Event:
    """Raises AnswerUnreadable for one that no server of ours sends."""
    values = sent.data
    with reading(sent.name):
        match sent.name:
            case "queued":
                return Queued(values["id"], values)
            case "step":
                return Stepped(values["index"], values["step"], values["steps"], values["preview"])
            case "image":
                return Made(values["index"], ImageAnswer.model_validate(values))
            case "error":
                return Lost(values["index"], ProblemError(ProblemAnswer(**values["problem"])))
            case "done":
                return Done(values["num_images"], values["num_lost"], values["timing_ms"])
            case _:
                raise AnswerUnreadable(f"the server sent an event of unknown name {sent.name!r}")
