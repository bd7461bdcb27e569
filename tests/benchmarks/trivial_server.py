"""A server that answers every POST with the body's "status" or 200, and counts who is waiting."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

ANSWER = b'{"ok": true}'


@dataclass
class TrivialServer:
    """Holds answers back until so many requests are waiting at once."""

    port: int = 0
    together: int = 1
    waiting: int = 0
    most_waiting: int = 0
    connections: int = 0

    def __post_init__(self) -> None:
        self._full = asyncio.Event()
        self._handlers: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handlers.append(asyncio.ensure_future(self._answer_all(reader, writer)))
        self._writers.append(writer)
        self.connections += 1

    def close_idle(self) -> None:
        """As servers do after some seconds; the client may not have noticed yet."""
        for writer in self._writers:
            writer.close()

    async def wait_until_clients_are_gone(self) -> None:
        await asyncio.gather(*self._handlers)

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await self._head(reader):
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            if body.get("hang_up"):
                break
            await self._wait_for_others()
            status = body.get("status", 200)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(ANSWER)))
            writer.write(ANSWER)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def _wait_for_others(self) -> None:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        if self.waiting >= self.together:
            self._full.set()
        await self._full.wait()
        self.waiting -= 1


@asynccontextmanager
async def trivial_server(together: int = 1) -> AsyncIterator[TrivialServer]:
    state = TrivialServer(together=together)
    listener = await asyncio.start_server(state.handle, "127.0.0.1", 0)
    state.port = listener.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        listener.close()
        await state.wait_until_clients_are_gone()
