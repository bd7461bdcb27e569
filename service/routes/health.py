"""GET /livez, /readyz, /metrics: for those who look after the server."""

import asyncio
import time

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response

from ..answers import Health
from ..border.context import services_of
from ..engine.engine import Engine
from ..errors import Draining, NotReady
from .documentation import problems

router = APIRouter(tags=["operation"])

FRESH_S = 10.0  # a step so recent shows that the engine works
PROBE_TIMEOUT_S = 3.0


@router.get("/livez")
async def livez() -> Health:
    """The process is alive."""
    return Health(status="live")


@router.get("/readyz", responses=problems(503))
async def readyz(request: Request) -> Health:
    """The engine takes requests: it made a step lately, or a probe forward comes through now."""
    engine = services_of(request).engine
    await _check_ready(engine)
    return Health(status="ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Everything that Prometheus wants to know."""
    exposition = services_of(request).metrics.exposition()
    return Response(exposition, media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _check_ready(engine: Engine) -> None:
    """Raises Draining or NotReady."""
    stats = engine.stats()
    if stats.draining:
        raise Draining("the server is stopping")
    if stats.last_step_at is not None and time.monotonic() - stats.last_step_at < FRESH_S:
        return
    if not await asyncio.to_thread(engine.probe, PROBE_TIMEOUT_S):
        raise NotReady(f"a probe forward did not come through in {PROBE_TIMEOUT_S:g} s")
