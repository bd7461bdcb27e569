"""An order as a stream of server-sent events, while it is being made.

queued   once: what was ordered, and how much the engine has before it
step     an image advanced: {index, step, steps, preview}, the preview as base64 PNG or null
image    as in the JSON answer, with its index
error    an image is lost: {index, problem}; the other images go on
done     once, at the end: {id, num_images, num_lost, timing_ms}
"""

import base64
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..border.context import RequestContext, context_of, services_of
from ..engine.requests import EngineEvent, ImageDone, ImageLost, Report, StepDone
from ..engine.stream import events
from ..errors import ServiceError
from ..metrics import Outcome
from ..png import encode
from ..problems import problem_of
from ..server_sent_events import Feed, FeedResponse, told, written
from .delivery import image_answer, note_images, solver_used, timing
from .order import Order


async def answer_events(request: Request, order: Order) -> Response:
    """Raises QueueFull and the like before the stream begins: they keep their status."""
    engine = services_of(request).engine
    context = context_of(request)
    queued = {
        "id": context.id,
        "model": order.model.card.name,
        "class_id": order.class_id,
        "class_name": order.class_name,
        "solver": solver_used(order).model_dump(),
        "steps": order.steps,
        "guidance_scale": order.guidance_scale,
        "guided_channels": order.guided_channels,
        "seed": order.seed,
        "num_images": order.num_images,
        "queued_rows": engine.stats().queued_rows,
    }
    report = Report.PREVIEWS if order.preview else Report.STEPS
    feed = Feed(events(engine, order.image_requests(report)))
    await feed.opened()
    return EventStreamResponse(feed, Story(context, order), queued)


class Story:
    """Tells events in the words of the stream, and keeps count."""

    def __init__(self, context: RequestContext, order: Order):
        self._context = context
        self._order = order
        self._done: list[ImageDone] = []
        self._lost: list[ServiceError] = []

    async def tell(self, event: EngineEvent) -> bytes:
        match event:
            case StepDone():
                return written("step", self._step(event))
            case ImageDone():
                self._done.append(event)
                answer = await image_answer(self._order, event)
                return written("image", {"index": event.index, **answer.model_dump()})
            case ImageLost():
                self._lost.append(event.error)
                problem = problem_of(event.error).as_dict(self._context.id)
                return written("error", {"index": event.index, "problem": problem})

    def end(self) -> bytes:
        if self._done:
            note_images(self._context, self._done)
        spent = timing(self._context).model_dump() if self._done else None
        return written(
            "done",
            {
                "id": self._context.id,
                "num_images": len(self._done),
                "num_lost": len(self._lost),
                "timing_ms": spent,
            },
        )

    @property
    def outcome(self) -> Outcome:
        """How it ended, if it is told to its end."""
        if self._lost:
            return Outcome.of_error(self._lost[0])
        return Outcome.OK

    def _step(self, event: StepDone) -> dict[str, Any]:
        preview = None
        if event.preview is not None:
            preview = base64.b64encode(encode(event.preview)).decode()
        return {
            "index": event.index,
            "step": event.step,
            "steps": event.steps,
            "preview": preview,
        }


class EventStreamResponse(FeedResponse[EngineEvent]):
    """However it ends, what is not finished is cancelled, and the figures know how it ended."""

    def __init__(self, feed: Feed[EngineEvent], story: Story, queued: Mapping[str, Any]):
        super().__init__(feed, self._content())
        self._story = story
        self._queued = queued
        self._outcome = Outcome.CANCELLED

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            context_of(Request(scope)).outcome = self._outcome

    async def _content(self) -> AsyncGenerator[bytes, None]:
        yield written("queued", self._queued)
        async for event in told(self.feed, self._story.tell):
            yield event
        self._outcome = self._story.outcome
        yield self._story.end()
