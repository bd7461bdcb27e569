"""What happens to a search, as a stream of server-sent events.

queued    the search was accepted: {spec}; or its worker was lost and it waits again: {spec, reason}
started   a worker has taken it: {attempt}
progress  how far it is: as in the job's answer
result    something was found for one step count: as in the job's answer
stopping  it was asked to end now and keep the best so far
finished  once, at the end: {state, error}

All of them also say when it was: {at}.

Each event carries the number that the job's record gives it, so whoever comes back with
`Last-Event-ID` gets what he missed, also long after the end; then 204 says that there is no more.
A number that the job has not come to is refused: its events would be taken for known when they come
(a database that was put back to an older state counts them again).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from search_jobs.queue import SearchQueue
from search_jobs.spec import TERMINAL, JobEvent
from solver_store.errors import StoreUnavailable

from ..assembly import Services
from ..border.context import services_of
from ..errors import FieldRefused
from ..server_sent_events import Feed, FeedResponse, told, written
from .answers import event_data

LAST_EVENT_ID = "Last-Event-ID"
POLL_INTERVAL_S = 0.5  # the workers are other processes: only the database is shared with them


@dataclass(frozen=True)
class News:
    """Events after those that are known, and whether the job had ended before they were read."""

    events: list[JobEvent]  # the first of them, where they are very many
    has_ended: bool

    @property
    def is_all(self) -> bool:
        """Whether no more can come."""
        return self.has_ended and not self.events


Question = Callable[[SearchQueue, str, int], News]


async def answer_job_events(request: Request, job_id: str, after: int) -> Response:
    """Everything after event number `after`, until the job's end.

    Raises JobNotFound, FieldRefused and StoreUnavailable before the stream begins: they keep their
    status.
    """
    services = services_of(request)
    news = await _asked(services, _first_news, job_id, after)
    if news.is_all:
        return Response(status_code=204)
    feed = Feed(_followed(services, job_id, after, news))
    return FeedResponse(feed, told(feed, _tell))


async def _followed(
    services: Services, job_id: str, after: int, news: News
) -> AsyncGenerator[JobEvent, None]:
    """Ends after the job's last event, or when the server stops: clients then come back."""
    while not news.is_all and not services.engine.stats().draining:
        for event in news.events:
            yield event
            after = event.number
        if not news.has_ended:
            await asyncio.sleep(POLL_INTERVAL_S)
        news = await _news_if_any(services, job_id, after)


async def _news_if_any(services: Services, job_id: str, after: int) -> News:
    """No news where the database is away: it may come back."""
    try:
        return await _asked(services, _news, job_id, after)
    except StoreUnavailable:
        return News([], has_ended=False)


async def _asked(services: Services, question: Question, job_id: str, after: int) -> News:
    """In the threads that are there for it, however long the database takes to answer."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(
        services.job_followers, question, services.queue, job_id, after
    )


def _first_news(queue: SearchQueue, job_id: str, after: int) -> News:
    last = queue.last_event(job_id)
    if after > last:
        rule = (
            f"must be at most {last}, the number of the job's last event; without it all are sent"
        )
        raise FieldRefused(LAST_EVENT_ID, rule, after)
    return _news(queue, job_id, after)


def _news(queue: SearchQueue, job_id: str, after: int) -> News:
    # The state first: after the end, whatever is read then is all there will be.
    has_ended = queue.get(job_id).state in TERMINAL
    return News(queue.events(job_id, after), has_ended)


async def _tell(event: JobEvent) -> bytes:
    return written(event.kind, event_data(event), event.number)
