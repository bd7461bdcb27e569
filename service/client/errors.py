"""What can go wrong between a client and its server.

ClientError
├── Unreachable        no server answers, or the connection broke
├── AnswerUnreadable   something answers, and not as a server of ours does
├── KeyUnsendable      a key that no header can carry
├── NoDefault          no model was named, and none of the server's is its default
└── ProblemError       the server answered with a problem document
"""

import httpx
from pydantic import ValidationError

from ..answers import FieldAnswer, ProblemAnswer


class ClientError(Exception):
    """Root of this module's errors."""


class Unreachable(ClientError):
    """No server answers, or the connection broke."""


class AnswerUnreadable(ClientError):
    """Something answers, and not as a server of ours does: a page, or events that are not ours."""


class KeyUnsendable(ClientError):
    """A key that no header can carry. The message does not repeat it: keys are secrets."""


class NoDefault(ClientError):
    """No model was named, and none of the server's is its default."""


class ProblemError(ClientError):
    """The server answered with a problem document."""

    def __init__(self, problem: ProblemAnswer, retry_after_s: float | None = None):
        super().__init__(f"{problem.title}: {problem.detail}")
        self.status = problem.status
        self.title = problem.title
        self.detail = problem.detail
        self.fields: tuple[FieldAnswer, ...] = tuple(problem.errors)
        self.current_version = problem.current_version
        self.retry_after_s = retry_after_s


def fault(error: Exception) -> str:
    """What is wrong with an answer, in one line, which pydantic's own message is not."""
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def problem_of(response: httpx.Response) -> ProblemError:
    """The problem that a failed answer tells, or one that tells the failure."""
    try:
        problem = ProblemAnswer.model_validate_json(response.content)
    except ValueError:  # not our server, or something in between
        problem = ProblemAnswer(
            type="about:blank",
            title=response.reason_phrase or "Error",
            status=response.status_code,
            detail=f"{response.request.url} answered {response.status_code}",
            errors=[],
        )
    retry_after = response.headers.get("Retry-After", "")
    return ProblemError(problem, float(retry_after) if retry_after.isdecimal() else None)
