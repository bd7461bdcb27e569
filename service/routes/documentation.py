"""The parts of the OpenAPI document that routes share: which problems they may answer."""

from typing import Any

from pydantic.json_schema import models_json_schema

from ..answers import ProblemAnswer
from ..border.keys import OPEN_PATHS
from ..problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

REFERENCE = "#/components/schemas/{model}"

DESCRIPTIONS = {
    400: "The body is not JSON",
    401: "No API key, or a wrong one",
    404: "Not found",
    405: "Method not allowed",
    406: "None of the accepted media types can be given",
    409: "The present state speaks against it",
    413: "The body is too large",
    415: "The body is not announced as JSON",
    422: "A field breaks a rule",
    429: "The queue is full",
    500: "An image could not be made",
    503: "Not ready, stopping, out of memory, or in need of a restart",
    504: "The deadline passed",
    507: "The device has no room for it",
}

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

BODY_PROBLEMS = (400, 413, 415, 422)


def problems(*statuses: int) -> Responses:
    """Document these statuses as problem documents."""
    return {status: problem(status) for status in sorted(statuses)}


def problem(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": DESCRIPTIONS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model="ProblemAnswer")}}},
    }
    if status == 429:
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    return response


def event_stream(*names: str) -> dict[str, Any]:
    """Document a stream of server-sent events of these names, with JSON for data."""
    properties = {
        "id": {"type": "string"},
        "event": {"type": "string", "enum": list(names)},
        "data": {"type": "string", "contentMediaType": "application/json"},
    }
    event = {"type": "object", "properties": properties, "required": ["event", "data"]}
    return {"itemSchema": event}


def picture(description: str) -> dict[str, Any]:
    """Document a PNG file: bytes, which no example can show."""
    return {"schema": {"type": "string", "format": "binary", "description": description}}


def add_keys(document: dict[str, Any]) -> None:
    """Document that a key is needed, how it is shown, and where none is asked for."""
    document.setdefault("components", {})["securitySchemes"] = SECURITY_SCHEMES
    document["security"] = [{name: []} for name in SECURITY_SCHEMES]  # any one of them
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path in OPEN_PATHS:
                operation["security"] = []
            else:
                answers = {**operation["responses"], "401": problem(401)}
                operation["responses"] = dict(sorted(answers.items()))


def add_problem_schema(document: dict[str, Any]) -> None:
    """FastAPI collects the schemas of JSON answers only; problems have their own media type."""
    _, schemas = models_json_schema([(ProblemAnswer, "serialization")], ref_template=REFERENCE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
