"""POST /generate: a request becomes pictures."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ..answers import GenerateAnswer
from ..border.context import context_of, services_of
from ..border.negotiation import accepted_by, choose
from ..errors import FieldRefused
from ..generation.delivery import answer_json, answer_png
from ..generation.event_stream import answer_events
from ..generation.order import Order, take_order
from ..schemas import GenerateRequest
from .documentation import BODY_PROBLEMS, Responses, event_stream, picture, problems

router = APIRouter(tags=["generate"])

JSON, PNG, EVENTS = "application/json", "image/png", "text/event-stream"

ANSWERS: dict[str, Callable[[Request, Order], Awaitable[Response]]] = {
    JSON: answer_json,  # the first is the one for clients that do not mind
    PNG: answer_png,
    EVENTS: answer_events,
}

RESPONSES: Responses = {
    200: {
        "description": "The pictures, as the `Accept` header asks for them",
        "content": {
            PNG: picture("The one picture; what went into it is in its text chunks."),
            EVENTS: event_stream("queued", "step", "image", "error", "done"),
        },
        "headers": {
            "X-Request-ID": {"schema": {"type": "string"}},
            "Server-Timing": {"schema": {"type": "string"}},
        },
    },
    **problems(*BODY_PROBLEMS, 404, 406, 409, 429, 500, 503, 504, 507),
}


@router.post("/generate", response_model=GenerateAnswer, responses=RESPONSES)
async def generate(body: GenerateRequest, request: Request) -> Response:
    """Make images of one class with any solver at any number of steps.

    The answer is JSON, one PNG (`Accept: image/png`), or an event stream that tells every step
    (`Accept: text/event-stream`: `queued`, `step`, `image`, `error`, `done`).
    """
    context = context_of(request)
    services = services_of(request)
    context.steps = body.steps
    context.model = services.default_model if body.model is None else body.model  # also if refused
    media_type = choose(accepted_by(request), tuple(ANSWERS))
    if media_type == PNG and body.num_images > 1:
        raise FieldRefused("num_images", "must be 1 where the answer is a PNG", body.num_images)
    order = await take_order(body, services)
    context.solver = order.solver.name
    return await ANSWERS[media_type](request, order)
