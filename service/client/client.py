"""The connection to one server."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from search_jobs.spec import JobState

from ..answers import (
    AliasMoveAnswer,
    GenerateAnswer,
    ModelAnswer,
    ModelsAnswer,
    SearchJobAnswer,
    SearchJobsAnswer,
    SolverAnswer,
    SolverEntry,
    SolversAnswer,
    SolverVersionAnswer,
)
from .errors import AnswerUnreadable, KeyUnsendable, NoDefault, Unreachable, fault, problem_of
from .event_lines import SentEvent, read_events
from .following import Place, follow
from .images import Event, Order, image_events
from .searches import Search, SearchEvent

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_S = 300.0  # a queue may be long
MEDIA_TYPE = "text/event-stream"
NO_CONTENT = 204
FOLLOW_TIMEOUT_S = 60.0  # silence after which a stream is taken for dead: pings come more often

A = TypeVar("A", bound=BaseModel)


class Client:
    """One server. Close it, or use `with`.

    Every method raises ProblemError, Unreachable or AnswerUnreadable. Beyond these `Client` and
    `search` raise KeyUnsendable, and `model` raises NoDefault.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ):
        """Raises KeyUnsendable, and Unreachable where the URL is none."""
        headers = {"Authorization": f"Bearer {_sendable('API key', api_key)}"} if api_key else {}
        with _reaching(url):
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

    def stream(self, order: Order) -> Generator[Event, None, None]:
        """Make images and follow every step; closing the generator cancels the rest."""
        headers = {"Accept": MEDIA_TYPE}
        with (
            _reaching(self._http.base_url),
            self._http.stream(
                "POST", "/generate", json=order.as_json(), headers=headers
            ) as response,
        ):
            _check_stream(response)
            yield from image_events(read_events(response.iter_lines()))

    def models(self) -> list[ModelAnswer]:
        return self._ask(ModelsAnswer, "GET", "/models").models

    def model(self, name: str | None = None) -> ModelAnswer:
        """One model; without a name, the server's default.

        Raises NoDefault where the default is not among the server's models any more.
        """
        if name is not None:
            return self._ask(ModelAnswer, "GET", f"/models/{name}")
        for model in self.models():
            if model.is_default:
                return model
        raise NoDefault(f"{self._http.base_url}: none of its models is the default: name one")

    def load_model(self, name: str) -> ModelAnswer:
        """Make a model resident; ProblemError 507 where there is no room for it."""
        return self._ask(ModelAnswer, "PUT", f"/models/{name}/residency")

    def unload_model(self, name: str) -> ModelAnswer:
        """Give a model's memory back, once its images are done."""
        return self._ask(ModelAnswer, "DELETE", f"/models/{name}/residency")

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

    def search(self, search: Search, idempotency_key: str | None = None) -> SearchJobAnswer:
        """Start a search; the same key again starts nothing and returns the first job."""
        headers = {}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = _sendable("idempotency key", idempotency_key)
        return self._ask(
            SearchJobAnswer, "POST", "/search-jobs", json=search.as_json(), headers=headers
        )

    def search_jobs(self, state: JobState | None = None) -> list[SearchJobAnswer]:
        """All searches, or those that stand so; newest first."""
        params = {} if state is None else {"state": state.value}
        return self._ask(SearchJobsAnswer, "GET", "/search-jobs", params=params).search_jobs

    def search_job(self, job_id: str) -> SearchJobAnswer:
        return self._ask(SearchJobAnswer, "GET", f"/search-jobs/{job_id}")

    def cancel(self, job_id: str) -> SearchJobAnswer:
        """End a search; ProblemError 409 where it has ended already."""
        return self._ask(SearchJobAnswer, "POST", f"/search-jobs/{job_id}/cancel")

    def stop(self, job_id: str) -> SearchJobAnswer:
        """End a search now and keep the best it has found; ProblemError 409 as for `cancel`."""
        return self._ask(SearchJobAnswer, "POST", f"/search-jobs/{job_id}/stop")

    def follow(self, job_id: str, after: int = 0) -> Iterator[SearchEvent]:
        """What has happened to a search since event number `after`, and happens until its end.

        A connection that breaks is taken up again where it broke, for RECONNECT_FOR_S.
        """
        return follow(partial(self._job_events, job_id), after)

    def _job_events(self, job_id: str, place: Place) -> Iterator[SentEvent]:
        """One connection's share of the events after a place."""
        headers = {"Accept": MEDIA_TYPE, "Last-Event-ID": str(place.number)}
        url = f"/search-jobs/{job_id}/events"
        with (
            _reaching(self._http.base_url),
            self._http.stream("GET", url, headers=headers, timeout=FOLLOW_TIMEOUT_S) as response,
        ):
            _check_stream(response)
            place.connected(is_end=response.status_code == NO_CONTENT)
            yield from read_events(response.iter_lines())

    def _ask(
        self,
        kind: type[A],
        method: str,
        path: str,
        params: Mapping[str, str | int] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> A:
        with _reaching(self._http.base_url):
            response = self._http.request(method, path, params=params, json=json, headers=headers)
        if not response.is_success:
            raise problem_of(response)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise _unreadable(response.request.url, fault(error)) from error


@contextmanager
def _reaching(url: httpx.URL | str) -> Iterator[None]:
    """Raises Unreachable and AnswerUnreadable for what httpx raises."""
    try:
        yield
    except (httpx.TransportError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise Unreachable(f"{url}: {reason}; is the server up?") from error
    except httpx.DecodingError as error:
        raise _unreadable(url, str(error)) from error


def _check_stream(response: httpx.Response) -> None:
    """Raises ProblemError, and AnswerUnreadable where something else than events comes."""
    if not response.is_success:
        response.read()
        raise problem_of(response)
    media_type = response.headers.get("Content-Type", "nothing")
    if response.status_code != NO_CONTENT and not media_type.startswith(MEDIA_TYPE):
        raise _unreadable(response.request.url, f"{media_type} instead of {MEDIA_TYPE}")


def _unreadable(url: httpx.URL | str, reason: str) -> AnswerUnreadable:
    return AnswerUnreadable(f"{url}: not an answer of fewstep: {reason}")


def _sendable(what: str, key: str) -> str:
    """The key, which a header can carry. Raises KeyUnsendable."""
    if not (key.isascii() and key.isprintable() and key == key.strip()):
        raise KeyUnsendable(f"the {what} must be printable ASCII, without spaces around it")
    return key
