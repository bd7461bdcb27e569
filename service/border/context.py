"""What belongs to one HTTP request: its id, its start, and the parts of the server it uses."""

import re
import time
import uuid
from dataclasses import dataclass, field

from opentelemetry.trace import NoOpTracer, Tracer
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from ..assembly import Services
from ..metrics import Outcome

CONTEXT = "fewstep.context"
REQUEST_ID = "x-request-id"

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass
class RequestContext:
    """Made at the border; the routes fill in what they learn."""

    id: str
    tracer: Tracer = field(default_factory=NoOpTracer)  # for spans below the request's own
    started_at: float = field(default_factory=time.monotonic)
    status: int | None = None  # None until an answer begins
    model: str | None = None
    steps: int | None = None
    solver: str | None = None
    outcome: Outcome | None = None  # where more is known than the status
    trace_id: str | None = None  # 32 hexadecimal digits, where traces are kept
    parts_ms: dict[str, float] = field(default_factory=dict)  # what took how long, in order

    @classmethod
    def of(cls, headers: Headers, tracer: Tracer) -> "RequestContext":
        """Takes the client's id over if it is sane, else makes one up."""
        given = headers.get(REQUEST_ID, "")
        return cls(given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex, tracer)

    @property
    def spent_ms(self) -> float:
        """Since the request came."""
        return round((time.monotonic() - self.started_at) * 1000, 3)

    @property
    def server_timing(self) -> str:
        """For the header: the parts that are known, and the total up to now."""
        parts = {**self.parts_ms, "total": self.spent_ms}
        return ", ".join(f"{name};dur={ms}" for name, ms in parts.items())


def context_of(request: Request) -> RequestContext:
    context = request.scope[CONTEXT]
    assert isinstance(context, RequestContext)
    return context


def services_of(request: Request) -> Services:
    return services_in(request.scope)


def services_in(scope: Scope) -> Services:
    services = scope["app"].state.services
    assert isinstance(services, Services)
    return services
