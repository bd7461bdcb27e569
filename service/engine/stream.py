"""From the engine thread to an event loop."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from .engine import Engine
from .requests import EngineEvent, ImageRequest, StepDone


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
        submission.cancel()
