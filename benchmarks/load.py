"""Load generators: a closed loop keeps so many requests in flight, an open one follows a clock.

A request that gets no answer counts with status 0.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .http_client import Answer, Connection, Disconnected


@dataclass(frozen=True)
class Sample:
    """What became of one request; seconds on the client's clock."""

    index: int  # of the request in its list
    sent_at: float  # in an open loop: when it was due, even if the client was late
    done_at: float
    status: int
    size: int  # bytes of the answer's body

    @property
    def latency_s(self) -> float:
        return self.done_at - self.sent_at


class Connections:
    """Idle connections to one port, kept for the next request."""

    def __init__(self, port: int):
        self._port = port
        self._idle: list[Connection] = []

    async def exchange(self, index: int, request: bytes, sent_at: float) -> Sample:
        try:
            answer = await self._exchange(request)
        except (Disconnected, OSError):
            return Sample(index, sent_at, time.perf_counter(), status=0, size=0)
        return Sample(index, sent_at, time.perf_counter(), answer.status, len(answer.body))

    async def _exchange(self, request: bytes) -> Answer:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:  # servers close what was idle for some seconds
                with suppress(Disconnected):  # … and may do so at this very moment
                    return await self._exchange_on(connection, request)
        return await self._exchange_on(await Connection.open(self._port), request)

    async def _exchange_on(self, connection: Connection, request: bytes) -> Answer:
        answer = await connection.exchange(request)
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


async def closed_loop(
    connections: Connections, requests: Sequence[bytes], concurrency: int
) -> list[Sample]:
    """Send all requests in order, so many in flight at any time. Samples in order of completion."""
    samples: list[Sample] = []
    to_send = iter(enumerate(requests))

    async def client() -> None:
        for index, request in to_send:
            samples.append(await connections.exchange(index, request, time.perf_counter()))

    await asyncio.gather(*(client() for _ in range(concurrency)))
    return samples


async def open_loop(
    connections: Connections, requests: Sequence[bytes], arrivals_s: Sequence[float]
) -> list[Sample]:
    """Send request i when it is due, whatever became of the others. In order of completion.

    arrivals_s  seconds after the start, ascending
    """
    samples: list[Sample] = []
    start = time.perf_counter()

    async def send(index: int, request: bytes, due: float) -> None:
        samples.append(await connections.exchange(index, request, due))

    async with asyncio.TaskGroup() as group:
        for index, (request, arrival_s) in enumerate(zip(requests, arrivals_s, strict=True)):
            due = start + arrival_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(send(index, request, due))
    return samples


def poisson_arrivals(rate: float, duration_s: float, seed: int) -> list[float]:
    """Arrival times of a Poisson process of `rate` a second, up to `duration_s`."""
    return list(_arrivals(rate, duration_s, random.Random(seed)))


def _arrivals(rate: float, duration_s: float, chance: random.Random) -> Iterator[float]:
    arrival_s = chance.expovariate(rate)
    while arrival_s < duration_s:
        yield arrival_s
        arrival_s += chance.expovariate(rate)
