"""The OpenAPI document has an example of everything, and every example is true to its schema."""

import json
from typing import Any

import httpx
import jsonschema_rs
import pytest

from diffusion_core import errors as diffusion
from search_jobs.errors import BrokerUnavailable
from service.app import create_app
from service.border.keys import OPEN_PATHS
from service.errors import NEVER_PUBLIC, STATUSES, Cancelled, FieldRefused
from service.problems import MEDIA_TYPE, problem_of
from service.routes.examples import known
from service.routes.problem_examples import EXAMPLES
from service.settings import Settings
from solver_store.table import SolverTable
from tests.service.live import read_stream

DOCUMENT: dict[str, Any] = create_app(Settings(api_keys=("a",))).openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

# Of commands, or refused with another error before they could reach a route.
NOT_OVER_HTTP = {BrokerUnavailable, diffusion.FamilyUnknown, diffusion.SolverUnknown}


def check(schema: dict[str, Any], value: object) -> None:
    """Raises jsonschema_rs.ValidationError."""
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


@pytest.fixture(params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> dict[str, Any]:
    return OPERATIONS[request.param]


def test_every_parameter_has_an_example_that_it_allows(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        check(parameter["schema"], parameter["example"])


def test_every_body_has_an_example_that_it_allows(operation: dict[str, Any]) -> None:
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        check(content["schema"], content["example"])


def test_every_answer_has_an_example_that_is_one(operation: dict[str, Any]) -> None:
    for response in operation["responses"].values():
        for media_type, content in response.get("content", {}).items():
            match media_type:
                case "image/png":
                    assert content["schema"]["description"]
                case "text/event-stream":
                    check_stream(content["itemSchema"], content["example"])
                case _ if media_type == MEDIA_TYPE:
                    pass  # problems have a test of their own
                case _:
                    check(content["schema"], content["example"])


def check_stream(schema: dict[str, Any], text: str) -> None:
    """Every event is one, and tells something as JSON."""
    assert text.endswith("\n\n")
    for block in text.removesuffix("\n\n").split("\n\n"):
        event = dict(line.split(": ", 1) for line in block.splitlines())
        check(schema, event)
        assert json.loads(event["data"])


def test_the_example_of_a_stream_tells_what_a_stream_tells(http: httpx.Client) -> None:
    body = known()["POST /generate"]["body"] | {"steps": 1, "class_id": 1}
    stream = http.post("/generate", json=body, headers={"Accept": "text/event-stream"})
    shown = {event["event"]: event["data"] for event in known()["POST /generate"]["events"]}
    for name, told in read_stream(stream):
        assert told.keys() == shown[name].keys()


def test_where_keys_are_set_it_says_how_to_show_one_and_where_none_is_needed() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert {(scheme["type"], scheme.get("name")) for scheme in schemes.values()} == {
        ("http", None),
        ("apiKey", "X-API-Key"),
    }
    assert DOCUMENT["security"] == [{name: []} for name in schemes]
    for name, operation in OPERATIONS.items():
        is_open = name.split()[1] in OPEN_PATHS
        assert ("401" in operation["responses"]) is not is_open
        assert operation.get("security") == ([] if is_open else None)


def test_where_no_key_is_set_none_is_told_of() -> None:
    document = create_app(Settings()).openapi()
    assert "securitySchemes" not in document["components"]
    assert "401" not in document["paths"]["/models"]["get"]["responses"]


def test_every_problem_has_an_example_that_is_one(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        content = response.get("content", {}).get(MEDIA_TYPE)
        if content is not None:
            assert content["examples"], status
            for example in content["examples"].values():
                check(content["schema"], example["value"])
                assert example["value"]["status"] == int(status)


def test_every_public_error_is_shown_somewhere() -> None:
    shown = {
        type(error.cause if isinstance(error, FieldRefused) and error.cause else error)
        for error in (example.error for example in EXAMPLES)
    }
    own = {FieldRefused, Cancelled}  # the one wraps another, nobody reads the other
    assert shown == set(STATUSES) - NEVER_PUBLIC - NOT_OVER_HTTP - own


def test_every_example_of_a_problem_is_in_the_document() -> None:
    told = {
        example["value"]["detail"]
        for operation in OPERATIONS.values()
        for response in operation["responses"].values()
        for example in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).values()
    }
    assert {problem_of(example.error).detail for example in EXAMPLES} <= told


def test_no_example_is_of_a_route_that_is_gone() -> None:
    assert known().keys() == OPERATIONS.keys()


def test_tables_in_examples_are_tables_under_their_digests() -> None:
    imported = known()["POST /solvers"]["answers"]["201"]
    assert SolverTable.from_dict(imported["table"]).digest == imported["digest"]
