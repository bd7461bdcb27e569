"""A client that hangs up wants no answer any more: its work is cancelled."""

import asyncio
from typing import TypeVar

from starlette.requests import Request
from starlette.types import Receive

from ..errors import Cancelled

T = TypeVar("T")

QUICK_S = 0.01  # what is done sooner is not worth a watch over the connection


async def unless_hung_up(request: Request, work: "asyncio.Future[T]") -> T:
    """Wait for `work`, but no longer than the client does. Raises Cancelled when it is gone."""
    await asyncio.wait((work,), timeout=QUICK_S)
    if not work.done():
        hanging_up = asyncio.ensure_future(_hang_up(request.receive))
        try:
            await asyncio.wait((work, hanging_up), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hanging_up.cancel()
    if work.done():
        return work.result()
    raise Cancelled("the client is gone")


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
