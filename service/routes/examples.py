"""Examples for the OpenAPI document: of every request and its answer, and of every problem.

examples.json    {"METHOD /path": {parameters: by name, body, answers: by status, events}}

Streams are shown as the text that is sent. Pictures have no example.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..problems import MEDIA_TYPE as PROBLEM
from ..server_sent_events import MEDIA_TYPE as EVENTS
from ..server_sent_events import written
from .problem_examples import examples_of

FILE = Path(__file__).with_name("examples.json")
EXAMPLED = ("application/json", "text/plain")  # media types of the answers in the file


def add_examples(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _add(operation, path, known().get(f"{method.upper()} {path}", {}))


@cache
def known() -> dict[str, dict[str, Any]]:
    examples: dict[str, dict[str, Any]] = json.loads(FILE.read_text("utf-8"))
    return examples


def _add(operation: dict[str, Any], path: str, example: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in example.get("parameters", {}):
            parameter["example"] = example["parameters"][parameter["name"]]
    if "body" in example:
        operation["requestBody"]["content"]["application/json"]["example"] = example["body"]
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            if media_type == PROBLEM:
                content["examples"] = examples_of(path, int(status))
            elif media_type == EVENTS:
                content["example"] = _told(example.get("events", ()))
            elif media_type in EXAMPLED and status in example.get("answers", {}):
                content["example"] = example["answers"][status]


def _told(events: Iterable[Mapping[str, Any]]) -> str:
    """The stream of these events, each {id, event, data}, some without an id."""
    return "".join(
        written(event["event"], event["data"], event.get("id")).decode() for event in events
    )
