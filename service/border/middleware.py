"""The border: what every request passes on its way in, and every answer on its way out.

in    an id · the key · a body that is not too long and is announced as JSON
out   the id and the time it took on the answer · a problem document for whatever went wrong ·
      one line in the log · the figures
"""

import logging
import time
from collections.abc import Sequence

from opentelemetry.trace import Tracer
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import ServiceError
from ..log import log_request
from ..metrics import Outcome
from ..problems import problem_of
from ..tracing import current_trace_id, tell_span
from .body import check_announced, check_type, read_body, replay
from .context import CONTEXT, REQUEST_ID, RequestContext, services_in
from .keys import OPEN_PATHS, check_key

logger = logging.getLogger(__name__)

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
CANCELLED_STATUS = 499


class Border:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, api_keys: Sequence[str], tracer: Tracer):
        self.app = app
        self.api_keys = api_keys
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = scope[CONTEXT] = RequestContext.of(headers, self.tracer)
        context.trace_id = current_trace_id()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                tell_span(context)
                message["headers"] = [
                    *message.get("headers", ()),
                    (REQUEST_ID.encode(), context.id.encode()),
                    (b"server-timing", context.server_timing.encode()),
                ]
            await send(message)

        try:
            check_key(scope["path"], headers, self.api_keys)
            receive = await self._check_body(scope, headers, receive)
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            context.status = CANCELLED_STATUS
        except Exception as error:  # whatever it is, the client gets an answer with its id
            if not isinstance(error, ServiceError):
                logger.exception("request %s failed", context.id)
            if context.status is not None:
                raise  # the answer has begun: all that is left is to cut it off
            await problem_of(error).response(context.id)(scope, receive, send_with_id)
        finally:
            _log(scope, context)
            _record(scope, context)

    async def _check_body(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        if scope["method"] not in METHODS_WITH_BODY:
            return receive
        check_announced(headers)
        body = await read_body(receive)
        if body:
            check_type(headers)
        return replay(body, receive)


def _log(scope: Scope, context: RequestContext) -> None:
    fields = {
        "id": context.id,
        "trace": context.trace_id,
        "method": scope["method"],
        "path": scope["path"],
        "status": CANCELLED_STATUS if context.status is None else context.status,
        "ms": context.spent_ms,
        "outcome": context.outcome and context.outcome.value,
        "model": context.model,
        "steps": context.steps,
        "solver": context.solver,
    }
    log_request(fields, is_probe=scope["path"] in OPEN_PATHS)


def _record(scope: Scope, context: RequestContext) -> None:
    """Count what happened to a request for images."""
    if scope["path"] != "/generate" or scope["method"] != "POST":
        return
    outcome = context.outcome or (
        Outcome.CANCELLED if context.status is None else Outcome.of_status(context.status)
    )
    metrics = services_in(scope).metrics
    metrics.on_request(context.model, context.steps, outcome, time.monotonic() - context.started_at)
