"""Server-sent events, as they come over the line.

Source: the event stream format of the HTML standard, section 9.2.6.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from .errors import AnswerUnreadable, fault

OBJECT = TypeAdapter(dict[str, Any])


@dataclass(frozen=True)
class SentEvent:
    """One event; the number is there where the stream can be taken up again."""

    name: str
    data: dict[str, Any]
    number: int | None


def read_events(lines: Iterator[str]) -> Iterator[SentEvent]:
    """Every event that came whole. Raises AnswerUnreadable for one that is not of ours."""
    name, data, number = "", "", ""
    for line in lines:
        field, _, value = line.partition(": ")
        match field:
            case "id":
                number = value
            case "event":
                name = value
            case "data":
                data += value
            case "" if not line and name:
                with reading(name):
                    event = SentEvent(
                        name, OBJECT.validate_json(data), int(number) if number else None
                    )
                yield event
                name, data = "", ""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Raises AnswerUnreadable where the values of an event are not those that ours have."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        reason = fault(error)
        raise AnswerUnreadable(f"the server sent an unreadable event {name!r}: {reason}") from error
