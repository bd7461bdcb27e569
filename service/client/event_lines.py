"""Server-sent events, as they come over the line.

Source: the event stream format of the HTML standard, section 9.2.6.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SentEvent:
    """One event; the number is there where the stream can be taken up again."""

    name: str
    data: dict[str, Any]
    number: int | None


def read_events(lines: Iterator[str]) -> Iterator[SentEvent]:
    """Every event that came whole."""
    name, data, number = "", "", None
    for line in lines:
        field, _, value = line.partition(": ")
        match field:
            case "id":
                number = int(value)
            case "event":
                name = value
            case "data":
                data += value
            case "" if not line and name:
                yield SentEvent(name, json.loads(data), number)
                name, data = "", ""
