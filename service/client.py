"""A typed client of the service, over httpx. Needs no torch.

    with Client("http://127.0.0.1:8000") as client:
        answer = client.generate(class_id=7, steps=8)
        Path("seven.png").write_bytes(answer.images[0].png)

ClientError
├── Unreachable    no server answers, or the connection broke
└── ProblemError   the server answered with a problem document
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel

from .answers import (
    AliasMoveAnswer,
    FieldAnswer,
    GenerateAnswer,
    ImageAnswer,
    ModelAnswer,
    ModelsAnswer,
    ProblemAnswer,
    SolverAnswer,
    SolverEntry,
    SolversAnswer,
    SolverVersionAnswer,
)

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_S = 300.0  # a queue may be long

A = TypeVar("A", bound=BaseModel)


class ClientError(Exception):
    """Root of this module's errors."""


class Unreachable(ClientError):
    """No server answers, or the connection broke."""


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


@dataclass(frozen=True)
class Order:
    """What to make; whatever is None is for the server to choose."""

    class_id: int
    steps: int
    model: str | None = None
    solver: str = "auto"
    guidance_scale: float | None = None
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


class Client:
    """One server. Every method raises ProblemError or Unreachable. Close it, or use `with`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ):
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def generate(self, order: Order) -> GenerateAnswer:
        """Make images and wait for all of them."""
        return self._ask(GenerateAnswer, "POST", "/generate", json=order.as_json())

    def stream(self, order: Order) -> Iterator[Event]:
        """Make images and follow every step; closing the iterator cancels the rest."""
        headers = {"Accept": "text/event-stream"}
        with (
            self._reaching(),
            self._http.stream(
                "POST", "/generate", json=order.as_json(), headers=headers
            ) as response,
        ):
            if not response.is_success:
                response.read()
                raise _problem(response)
            for name, values in _read_events(response.iter_lines()):
                yield _event(name, values)

    def models(self) -> list[ModelAnswer]:
        return self._ask(ModelsAnswer, "GET", "/models").models

    def model(self, name: str | None = None) -> ModelAnswer:
        """One model; without a name, the server's default."""
        if name is not None:
            return self._ask(ModelAnswer, "GET", f"/models/{name}")
        return next(model for model in self.models() if model.is_default)

    def solvers(self, model: str | None = None, steps: int | None = None) -> list[SolverEntry]:
        """All solvers, or those that run on a model or take a number of steps."""
        wanted = {"model": model, "steps": steps}
        params = {name: value for name, value in wanted.items() if value is not None}
        return self._ask(SolversAnswer, "GET", "/solvers", params=params).solvers

    def solver(self, name: str) -> SolverAnswer:
        return self._ask(SolverAnswer, "GET", f"/solvers/{name}")

    def solver_version(self, name: str, version: int) -> SolverVersionAnswer:
        return self._ask(SolverVersionAnswer, "GET", f"/solvers/{name}/versions/{version}")

    def import_solver(self, document: Mapping[str, Any]) -> SolverVersionAnswer:
        """Keep a solver: `{name, table}` or `{name, paper_form}`, as `POST /solvers` has it."""
        return self._ask(SolverVersionAnswer, "POST", "/solvers", json=dict(document))

    def move_alias(
        self, name: str, alias: str, version: int, expected: int | None, note: str = ""
    ) -> AliasMoveAnswer:
        """Promote or roll back; ProblemError 409 where the alias does not stand at `expected`."""
        body = {"version": version, "expected": expected, "note": note}
        return self._ask(AliasMoveAnswer, "PUT", f"/solvers/{name}/aliases/{alias}", json=body)

    def _ask(
        self,
        kind: type[A],
        method: str,
        path: str,
        params: Mapping[str, str | int] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> A:
        with self._reaching():
            response = self._http.request(method, path, params=params, json=json)
        if not response.is_success:
            raise _problem(response)
        return kind.model_validate_json(response.content)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(f"{self._http.base_url}: {reason}; is the server up?") from error


def _problem(response: httpx.Response) -> ProblemError:
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


def _read_events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events: name and decoded data."""
    name, data = "", ""
    for line in lines:
        field, _, value = line.partition(": ")
        match field:
            case "event":
                name = value
            case "data":
                data += value
            case "" if not line and name:
                yield name, json.loads(data)
                name, data = "", ""


def _event(name: str, values: dict[str, Any]) -> Event:
    match name:
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
            raise ClientError(f"the server sent an event of unknown name {name!r}")
