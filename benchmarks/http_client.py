"""HTTP/1.1 over kept-alive connections, and hardly anything else: the client must not be what is
measured. Knows answers with a Content-Length only.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"


class Disconnected(ConnectionError):
    """The server closed the connection in the middle of an exchange."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


def post(path: str, body: Mapping[str, Any]) -> bytes:
    """A POST of JSON as it goes over the wire."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Accept: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Connection(asyncio.Protocol):
    """One exchange after another on one connection."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, "127.0.0.1", port)
        return connection

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> Answer:
        """Raises Disconnected where no whole answer comes."""
        if self._transport is None or not self.is_open:
            raise Disconnected("the connection is closed")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no asyncio class.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            answer = parse_answer(self._received)
        except ValueError as error:
            self._fail(Disconnected(str(error)))
            return
        if answer is not None and self._waiting is not None and not self._waiting.done():
            self._received.clear()
            self._waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._fail(Disconnected(str(error or "closed by the server")))

    def _fail(self, error: Disconnected) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)


def parse_answer(received: bytes | bytearray) -> Answer | None:
    """The answer if it is all there. Raises ValueError for one without a Content-Length."""
    head, found, rest = bytes(received).partition(END_OF_HEAD)
    if not found:
        return None
    lines = head.split(b"\r\n")
    lengths = [line for line in lines[1:] if line.lower().startswith(LENGTH)]
    if not lengths:
        raise ValueError(f"an answer without Content-Length: {lines[0].decode('latin-1')}")
    length = int(lengths[0][len(LENGTH) :])
    if len(rest) < length:
        return None
    return Answer(int(lines[0].split()[1]), rest[:length])
