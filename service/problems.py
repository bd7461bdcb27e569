"""Every refusal is a problem document (RFC 9457): what rule was broken, where, by what value."""

import json
import math
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from diffusion_core.errors import DiffusionError
from search_jobs.errors import SearchError
from solver_store.errors import PromotionConflict, StoreError

from .errors import BodyUnreadable, FieldRefused, QueueFull, status_of

MEDIA_TYPE = "application/problem+json"
MAX_SHOWN = 100  # characters of a refused value that a problem repeats
MAX_ERRORS = 20  # refused fields that a problem lists
MAX_EXACT_INT = 2**53  # larger integers are shown as text: not every reader of JSON keeps them

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class FieldProblem:
    field: str
    rule: str
    value: Scalar

    def as_dict(self) -> dict[str, Scalar]:
        return {"field": self.field, "rule": self.rule, "value": self.value}


@dataclass(frozen=True)
class Problem:
    """A problem document and the headers that go with it."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"
    errors: Sequence[FieldProblem] = ()
    members: Mapping[str, Scalar] = field(default_factory=dict)  # extension members
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self, request_id: str) -> dict[str, Any]:
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            "errors": [error.as_dict() for error in self.errors],
            **self.members,
        }

    def response(self, request_id: str) -> Response:
        body = json.dumps(self.as_dict(request_id), allow_nan=False).encode()
        return Response(body, self.status, dict(self.headers), MEDIA_TYPE)


@contextmanager
def blaming(name: str, value: object) -> Iterator[None]:
    """Name the field of the request that a refusal from another package is about."""
    try:
        yield
    except (DiffusionError, SearchError, StoreError) as error:
        if status_of(error) >= 500:
            raise
        raise FieldRefused(name, str(error), value, cause=error) from error


def problem_of(error: Exception) -> Problem:
    """The document of one of our own errors; a mute one for an error that nobody foresaw."""
    status = status_of(error)
    known = error.cause if isinstance(error, FieldRefused) and error.cause else error
    if not _is_ours(known):
        return Problem(500, HTTPStatus(500).phrase, "an unforeseen error; the server's log has it")
    words = re.findall("[A-Z][a-z]*", type(known).__name__)
    return Problem(
        status=status,
        title=" ".join(words).capitalize(),
        detail=_clean(str(error)),
        type="urn:fewstep:problem:" + "-".join(words).lower(),
        errors=_refused_field(error),
        members={"current_version": known.current} if isinstance(known, PromotionConflict) else {},
        headers=_headers(known),
    )


def problem_of_http(error: HTTPException) -> Problem:
    """The document of what the framework refuses: an unknown route, a wrong method."""
    if error.status_code == 400:
        # FastAPI's only own use of 400: bytes that are no text, or brackets nested without end.
        return problem_of(BodyUnreadable("the body is not JSON"))
    phrase = HTTPStatus(error.status_code).phrase
    return Problem(error.status_code, phrase, str(error.detail), headers=error.headers or {})


def problem_of_validation(error: RequestValidationError) -> Problem:
    """The document of a request that breaks its schema."""
    found = error.errors()
    for entry in found:
        if entry["type"] == "json_invalid":
            reason = f"{entry['ctx']['error']} at character {entry['loc'][-1]}"
            return problem_of(BodyUnreadable(f"the body is not JSON: {reason}"))
    refused = [_field_problem(entry) for entry in found[:MAX_ERRORS]]
    return Problem(
        status=422,
        title="Request invalid",
        detail="; ".join(f"{entry.field}: {entry.rule}" for entry in refused[:3]),
        type="urn:fewstep:problem:request-invalid",
        errors=refused,
    )


def _is_ours(error: Exception) -> bool:
    packages = ("service.", "search_jobs.", "diffusion_core.", "solver_store.")
    return type(error).__module__.startswith(packages)


def _refused_field(error: Exception) -> list[FieldProblem]:
    if not isinstance(error, FieldRefused):
        return []
    return [FieldProblem(error.field, _clean(error.rule), shown(error.value))]


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case QueueFull():
            return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
        case _ if status_of(error) == 401:
            return {"WWW-Authenticate": "Bearer"}
        case _:
            return {}


def _field_problem(entry: Mapping[str, Any]) -> FieldProblem:
    """One of pydantic's findings; its place begins with body, path or query."""
    place = ".".join(str(part) for part in entry["loc"][1:]) or str(entry["loc"][0])
    value = None if entry["type"] == "missing" else entry["input"]
    return FieldProblem(_shortened(_clean(place)), _clean(entry["msg"]), shown(value))


def shown(value: object) -> Scalar:
    """A refused value as a problem may repeat it: always JSON, never long."""
    match value:
        case None | bool():
            return value
        case int() if abs(value) <= MAX_EXACT_INT:
            return value
        case float() if math.isfinite(value):
            return value
        case str():
            return _shortened(_clean(value))
        case _:
            return _shortened(_clean(reprlib.repr(value)))


def _clean(text: str) -> str:
    """Lone surrogates are no text, and not every reader of JSON takes them."""
    return text.encode("utf-8", "replace").decode()


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
