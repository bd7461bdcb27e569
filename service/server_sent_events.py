"""Server-sent events: how one is written, and a stream of them that never falls silent.

Source: the event stream format of the HTML standard, section 9.2.6.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
PING = b": still here\n\n"
PING_INTERVAL_S = 15.0  # proxies cut silent connections, often after a minute

E = TypeVar("E")


def written(name: str, data: Mapping[str, Any], number: int | None = None) -> bytes:
    """One event; its number is what a client that comes back sends as `Last-Event-ID`."""
    numbered = "" if number is None else f"id: {number}\n"
    return f"{numbered}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


class Feed(Generic[E]):
    """The events of a generator, one at a time, with a limit to the patience."""

    def __init__(self, stream: AsyncGenerator[E, None]):
        self._stream = stream
        self._next = asyncio.ensure_future(anext(stream, None))

    async def opened(self) -> None:
        """Raises what the generator refuses to begin with."""
        await asyncio.sleep(0)  # in which it runs up to its first wait
        if self._next.done():
            self._next.result()

    async def get(self, timeout_s: float) -> E | None:
        """The next event; None after the last one. Raises TimeoutError."""
        await asyncio.wait((self._next,), timeout=timeout_s)
        if not self._next.done():
            raise TimeoutError
        event = self._next.result()
        if event is not None:
            self._next = asyncio.ensure_future(anext(self._stream, None))
        return event

    async def close(self) -> None:
        """End the generator, wherever it is."""
        self._next.cancel()
        await asyncio.gather(self._next, return_exceptions=True)
        await self._stream.aclose()


async def told(feed: Feed[E], tell: Callable[[E], Awaitable[bytes]]) -> AsyncGenerator[bytes, None]:
    """Every event of a feed as it is written, and a ping whenever there is none for long."""
    while True:
        try:
            event = await feed.get(PING_INTERVAL_S)
        except TimeoutError:
            yield PING
            continue
        if event is None:
            return
        yield await tell(event)


class FeedResponse(StreamingResponse, Generic[E]):
    """A stream made from a feed; however it ends, the feed is closed."""

    def __init__(self, feed: Feed[E], content: AsyncGenerator[bytes, None]):
        super().__init__(content, headers=HEADERS, media_type=MEDIA_TYPE)
        self.feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.feed.close()
