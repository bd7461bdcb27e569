"""From the engine thread to an event loop."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager, suppress

from ..errors import ServiceError
from .engine import Engine
from .requests import EngineEvent, ImageDone, ImageLost, ImageRequest, StepDone


async def events(
    engine: Engine, images: Sequence[ImageRequest]
) -> AsyncGenerator[EngineEvent, None]:
    """Submit images and yield what becomes of them, until each is done or lost.

    Closing the generator early cancels what is still running.
    Raises QueueFull, RequestTooLarge or Draining before the first event.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[EngineEvent] = asyncio.Queue()

    def notify(event: EngineEvent) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(arrived.put_nowait, event)

    submission = engine.submit(images, notify)
    missing = len(images)
    try:
        while missing:
            event = await arrived.get()
            if not isinstance(event, StepDone):
                missing -= 1
            yield event
    finally:
        if missing:
            submission.cancel()


@contextmanager
def gathered(
    engine: Engine, images: Sequence[ImageRequest]
) -> Iterator[asyncio.Future[list[ImageDone]]]:
    """Submit images; the future holds all of them in order, or the error of the first that is lost.

    The event loop is woken once, not for every image. Leaving early cancels what is still running.
    Raises QueueFull, RequestTooLarge or Draining.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[ImageDone]] = loop.create_future()
    done: dict[int, ImageDone] = {}  # only the engine thread writes it

    def settle(error: ServiceError | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result([done[index] for index in range(len(images))])
        else:
            future.set_exception(error)

    def notify(event: EngineEvent) -> None:
        if isinstance(event, ImageDone):
            done[event.index] = event
        if isinstance(event, ImageLost) or len(done) == len(images):
            error = event.error if isinstance(event, ImageLost) else None
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(settle, error)

    submission = engine.submit(images, notify)
    try:
        yield future
    finally:
        if len(done) < len(images):
            submission.cancel()
        future.cancel()
