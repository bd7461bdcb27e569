"""The OpenAPI document has an example of everything, and every example is true to its schema."""

from typing import Any

import jsonschema_rs
import pytest

from diffusion_core import errors as diffusion
from search_jobs.errors import BrokerUnavailable
from service.app import create_app
from service.errors import NEVER_PUBLIC, STATUSES, Cancelled, FieldRefused
from service.problems import MEDIA_TYPE, problem_of
from service.routes.examples import known
from service.routes.problem_examples import EXAMPLES
from service.settings import Settings
from solver_store.table import SolverTable

DOCUMENT: dict[str, Any] = create_app(Settings(api_keys=("a",))).openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

# Of commands, or refused with another error before they could reach a route.
NOT_OVER_HTTP = {
    BrokerUnavailable,
    diffusion.FamilyUnknown,
    diffusion.ModelExists,
    diffusion.SolverUnknown,
}


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


def test_every_answer_as_json_has_an_example_that_is_one(operation: dict[str, Any]) -> None:
    for response in operation["responses"].values():
        content = response.get("content", {}).get("application/json")
        if content is not None:
            check(content["schema"], content["example"])


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
