"""GET /livez, /readyz, /metrics: for those who look after the server; HEAD asks without a body."""

import asyncio

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response

from ..answers import Health
from ..border.context import services_of
from ..errors import DeviceBroken
from ..readiness import check_ready
from .documentation import problems

router = APIRouter(tags=["operation"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez", responses=problems(503))
async def livez(request: Request) -> Health:
    """The process is alive, and can use its device; where it cannot, only a restart helps."""
    fault = services_of(request).engine.device_fault
    if fault is not None:
        raise DeviceBroken(fault)
    return Health(status="live")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses=problems(503))
async def readyz(request: Request) -> Health:
    """The engine takes requests: something came through lately, or a probe forward does now."""
    await asyncio.to_thread(check_ready, services_of(request).engine)
    return Health(status="ready")


@router.head("/metrics", include_in_schema=False)
@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Everything that Prometheus wants to know."""
    exposition = services_of(request).metrics.exposition()
    return Response(exposition, media_type=CONTENT_TYPE_PLAIN_0_0_4)
