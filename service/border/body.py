"""A request's body: read whole before anything else happens, and only so far."""

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from ..errors import BodyTooLarge, ContentTypeUnknown

MAX_BODY_BYTES = 1 << 20


async def read_body(receive: Receive) -> bytes:
    """Raises BodyTooLarge, also where no length was announced, and ClientDisconnect."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge(f"a body may have {MAX_BODY_BYTES} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def check_announced(headers: Headers) -> None:
    """Refuse by the header alone what would be too long. Raises BodyTooLarge."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"a body may have {MAX_BODY_BYTES} bytes, announced are {length:.20}")


def check_type(headers: Headers) -> None:
    """Raises ContentTypeUnknown where a body is not announced as JSON."""
    content_type = headers.get("content-type", "")
    main, _, sub = content_type.partition(";")[0].strip().lower().partition("/")
    if main != "application" or not (sub == "json" or sub.endswith("+json")):
        raise ContentTypeUnknown(
            f"Content-Type must be application/json, got {content_type[:60]!r}"
        )


def replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """The body once more for whoever reads next, then what really comes: the hang-up."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return unread.pop() if unread else await receive()

    return receive_again
