"""Every error counts as what it is: the client's doing, the server's fault, or no room."""

import pytest

from service.errors import Draining, FieldRefused, QueueFull
from service.metrics import Outcome
from service.routes.problem_examples import EXAMPLES, GENERATE

ERRORS = [example.error for example in EXAMPLES if GENERATE in example.routes]


def kind(error: Exception) -> str:
    cause = error.cause if isinstance(error, FieldRefused) else None
    return type(cause or error).__name__


def kinds(outcome: Outcome) -> set[str]:
    """Of those that a request for images may meet, all that count as this."""
    return {kind(error) for error in ERRORS if Outcome.of_error(error) is outcome}


def test_turned_away_are_requests_without_room_and_those_to_a_server_that_stops() -> None:
    assert kinds(Outcome.REJECTED) == {QueueFull.__name__, Draining.__name__}


def test_what_is_the_servers_fault_is_an_error() -> None:
    assert kinds(Outcome.ERROR) == {
        "DeterminismRefused",
        "EngineFault",
        "ImageFailed",
        "OutOfMemory",
        "StoreDamaged",
        "StoreUnavailable",
    }


@pytest.mark.parametrize("status", [500, 503, 507])
def test_a_status_alone_is_read_as_the_servers_fault(status: int) -> None:
    assert Outcome.of_status(status) is Outcome.ERROR
