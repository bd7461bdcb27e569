"""The client's side of searches: asked for, followed over connections that break, ended."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from search_jobs.spec import JobState
from service.client import (
    AnswerUnreadable,
    Client,
    Finished,
    Found,
    ProblemError,
    Progressed,
    Search,
    SearchEvent,
    Started,
    Stopping,
    Unreachable,
    Waiting,
    following,
)
from tests.service.conftest import StartServer
from tests.service.live import Live, wait_until
from tests.service.searches import Worker


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RECONNECT_EVERY_S", 0.01)


@pytest.fixture
def client(server: Live) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def worker(server: Live) -> Worker:
    return Worker(server.services)


def test_a_client_follows_a_search_to_its_end(client: Client, worker: Worker) -> None:
    job = client.search(Search(steps=[9], guidance_scale=8.5), idempotency_key="k-8.5")
    assert client.search(Search(steps=9, guidance_scale=8.5), idempotency_key="k-8.5") == job
    claim = worker.claim(job.id)
    assert client.stop(job.id).state is JobState.RUNNING
    worker.report(claim, 0.5, loss=0.25)
    worker.publish(claim, 9)
    worker.jobs.finish(claim, JobState.SUCCEEDED)
    events = list(client.follow(job.id))
    kinds = [Waiting, Started, Stopping, Progressed, Found, Finished]
    assert [type(event) for event in events] == kinds
    assert [event.number for event in events] == [1, 2, 3, 4, 5, 6]
    _, _, _, progressed, found, finished = events
    assert isinstance(progressed, Progressed)
    assert progressed.progress.loss == 0.25
    assert isinstance(found, Found)
    assert found.result == client.search_job(job.id).results[0]
    assert finished == Finished(6, "succeeded", None)
    assert list(client.follow(job.id, after=4)) == events[4:]
    assert list(client.follow(job.id, after=6)) == []
    assert job.id in [entry.id for entry in client.search_jobs(JobState.SUCCEEDED)]


EVENT = "id: {}\nevent: started\ndata: {{}}\n\n"
END = 'id: 3\nevent: finished\ndata: {"state": "succeeded", "error": null}\n\n'


def broken(*answers: Callable[[], httpx.Response]) -> tuple[Client, list[str]]:
    """A client whose connections bring these answers, and the places where it came back."""
    remaining, places = list(answers), []

    def handle(request: httpx.Request) -> httpx.Response:
        places.append(request.headers["last-event-id"])
        return remaining.pop(0)()

    return Client("http://server", transport=httpx.MockTransport(handle)), places


def events(text: str) -> Callable[[], httpx.Response]:
    headers = {"Content-Type": "text/event-stream"}
    return lambda: httpx.Response(200, text=text, headers=headers)


def refuse() -> httpx.Response:
    raise httpx.ConnectError("refused")


def test_a_broken_connection_is_taken_up_where_it_broke() -> None:
    client, places = broken(
        events(EVENT.format(1)),
        refuse,
        lambda: httpx.Response(503),
        events(EVENT.format(2)),
        events(""),
        events(END),
    )
    assert [event.number for event in client.follow("x")] == [1, 2, 3]
    assert places == ["0", "1", "1", "1", "2", "2"]


def test_a_server_that_was_never_there_is_told_at_once() -> None:
    client, places = broken(refuse)
    with pytest.raises(Unreachable):
        list(client.follow("x"))
    assert places == ["0"]


def test_a_server_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RECONNECT_FOR_S", 0.05)
    client, places = broken(events(EVENT.format(1)), *[refuse] * 1000)
    with pytest.raises(Unreachable):
        list(client.follow("x"))
    assert 2 <= len(places) < 1000


def test_a_refusal_is_not_repeated() -> None:
    client, places = broken(events(EVENT.format(1)), lambda: httpx.Response(404))
    with pytest.raises(ProblemError):
        list(client.follow("x"))
    assert places == ["0", "1"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(200, html="<title>Something else</title>"),
        events("event: started\ndata: none\n\n"),
        events("event: progress\ndata: {}\n\n"),
        events("event: finished\ndata: {}\n\n"),
    ],
)
def test_what_cannot_be_read_is_not_asked_for_again(answer: Callable[[], httpx.Response]) -> None:
    client, places = broken(events(EVENT.format(1)), answer)
    with pytest.raises(AnswerUnreadable):
        list(client.follow("x"))
    assert places == ["0", "1"]


def test_following_survives_a_restart_of_the_server(
    start_server: StartServer, worker: Worker
) -> None:
    told: list[SearchEvent] = []

    def follow(client: Client, job_id: str) -> None:
        for event in client.follow(job_id):
            told.append(event)

    with ThreadPoolExecutor() as pool:
        with start_server() as first:
            port = int(first.url.rpartition(":")[2])
            client = Client(first.url)
            job = client.search(Search(steps=5, guidance_scale=9.5))
            done = pool.submit(follow, client, job.id)
            wait_until(lambda: len(told) == 1)
        claim = worker.claim(job.id)
        worker.publish(claim, 5)
        worker.jobs.finish(claim, JobState.SUCCEEDED)
        with start_server(port=port):
            done.result(20)
    client.close()
    assert [event.number for event in told] == [1, 2, 3, 4]
    assert isinstance(told[-1], Finished)
