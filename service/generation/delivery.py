"""An order on its way: from the engine's events to an answer that holds all pictures."""

import asyncio
import base64
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from ..answers import GenerateAnswer, ImageAnswer, SolverUsed, Timing
from ..border.context import RequestContext, context_of, services_of
from ..border.hang_up import unless_hung_up
from ..engine.requests import ImageDone, Report
from ..engine.stream import gathered
from ..png import encode
from ..tracing import add_parts
from .order import Order

INLINE_PIXELS = 128 * 128  # above, encoding takes milliseconds and moves to a thread


async def answer_json(request: Request, order: Order) -> Response:
    """All pictures and all that went into them."""
    images = await _images(request, order)
    context = context_of(request)
    pictures = [await image_answer(order, image) for image in images]
    spent = timing(context)
    answer = GenerateAnswer(
        id=context.id,
        model=order.model.card.name,
        class_id=order.class_id,
        class_name=order.class_name,
        solver=solver_used(order),
        steps=order.steps,
        guidance_scale=order.guidance_scale,
        guided_channels=order.guided_channels,
        images=pictures,
        timing_ms=spent,
    )
    return Response(answer.model_dump_json(), media_type="application/json")


async def answer_png(request: Request, order: Order) -> Response:
    """The one picture."""
    images = await _images(request, order)
    png = await encode_image(order, images[0])
    version = order.solver.version
    headers = {
        "X-Solver": order.solver.name + (f"/{version}" if version is not None else ""),
        "X-Solver-Digest": order.solver.digest,
        "X-Seed": str(order.seed),
    }
    return Response(png, headers=headers, media_type="image/png")


def solver_used(order: Order) -> SolverUsed:
    solver = order.solver
    return SolverUsed(name=solver.name, version=solver.version, digest=solver.digest)


async def image_answer(order: Order, image: ImageDone) -> ImageAnswer:
    png = await encode_image(order, image)
    return ImageAnswer(
        seed=order.seed + image.index, format="png", base64=base64.b64encode(png).decode()
    )


async def encode_image(order: Order, image: ImageDone) -> bytes:
    """A PNG file with its provenance; a thread draws it where that takes long."""
    provenance = order.provenance(image.index)
    if image.pixels.shape[0] * image.pixels.shape[1] <= INLINE_PIXELS:
        return encode(image.pixels, provenance)
    return await asyncio.to_thread(encode, image.pixels, provenance)


def timing(context: RequestContext) -> Timing:
    """Up to now, of a request whose images were noted."""
    return Timing(**context.parts_ms, total=context.spent_ms)


def note_images(context: RequestContext, images: Sequence[ImageDone]) -> None:
    """The images are there: what took how long, of several the longest of each part.

    The answer, its header and the trace get it from the context.
    """
    context.parts_ms = {
        "queue": _ms(max(image.queue_s for image in images)),
        "sampling": _ms(max(image.sampling_s for image in images)),
        "decode": _ms(max(image.decode_s for image in images)),
    }
    add_parts(context.tracer, context.parts_ms)


async def _images(request: Request, order: Order) -> list[ImageDone]:
    """All images of an order, in order. Raises the error of the first that is lost."""
    engine = services_of(request).engine
    with gathered(engine, order.image_requests(Report.NOTHING)) as images:
        done = await unless_hung_up(request, images)
    note_images(context_of(request), done)
    return done


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
