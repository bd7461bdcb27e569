"""GET /search-jobs/{id}/events: what happens to a search, as it happens and ever after."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Semaphore
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from search_jobs.spec import JobState
from service import server_sent_events
from service.assembly import Services
from service.routes.examples import known
from service.searching import event_stream
from solver_store.errors import StoreUnavailable
from tests.service.conftest import StartServer
from tests.service.live import Live, assert_problem, read_stream, wait_until
from tests.service.searches import Worker, end, post

PICTURE = {"class_id": 1, "steps": 2, "seed": 0, "solver": "euler"}


@pytest.fixture
def worker(server: Live) -> Worker:
    return Worker(server.services)


@pytest.fixture(autouse=True)
def quick_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "POLL_INTERVAL_S", 0.01)


def numbers(text: str) -> list[int]:
    return [int(line.removeprefix("id: ")) for line in text.splitlines() if line[:4] == "id: "]


@pytest.fixture
def finished(http: httpx.Client, worker: Worker) -> str:
    """A job with six events."""
    job_id = post(http, guidance_scale=4.5).id
    claim = worker.claim(job_id)
    worker.report(claim, 0.25, loss=1.0)
    worker.report(claim, 0.5, loss=0.5)
    worker.publish(claim, 5)
    worker.jobs.finish(claim, JobState.SUCCEEDED)
    return job_id


def test_a_finished_job_tells_its_story_again(http: httpx.Client, finished: str) -> None:
    response = http.get(f"/search-jobs/{finished}/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert numbers(response.text) == [1, 2, 3, 4, 5, 6]
    names, stories = zip(*read_stream(response), strict=True)
    assert names == ("queued", "started", "progress", "progress", "result", "finished")
    job = http.get(f"/search-jobs/{finished}").json()
    assert stories[0]["spec"] == job["spec"]
    assert [stories[n]["loss"] for n in (2, 3)] == [1.0, 0.5]
    assert all(story.pop("at") for story in stories)
    assert stories[4] == job["results"][0]
    assert stories[5] == {"state": "succeeded", "error": None}


def test_the_documents_example_tells_what_a_job_tells(http: httpx.Client, finished: str) -> None:
    shown = known()["GET /search-jobs/{job_id}/events"]["events"]
    keys = {event["event"]: event["data"].keys() for event in shown}
    for name, story in read_stream(http.get(f"/search-jobs/{finished}/events")):
        assert story.keys() == keys[name]


def test_whoever_comes_back_gets_what_he_missed(http: httpx.Client, finished: str) -> None:
    url = f"/search-jobs/{finished}/events"
    for seen in range(6):
        text = http.get(url, headers={"Last-Event-ID": str(seen)}).text
        assert numbers(text) == list(range(seen + 1, 7))
    response = http.get(url, headers={"Last-Event-ID": "6"})
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("seen", ["7", "1000", "2147483647"])
def test_an_event_that_the_job_never_had_is_refused(
    http: httpx.Client, finished: str, seen: str
) -> None:
    """Nothing would be told of a job that counts up to there again."""
    response = http.get(f"/search-jobs/{finished}/events", headers={"Last-Event-ID": seen})
    (error,) = assert_problem(response, 422)["errors"]
    assert (error["field"], error["value"]) == ("Last-Event-ID", int(seen))
    assert error["rule"].startswith("must be at most 6")


def test_a_running_job_refuses_what_is_still_to_come(http: httpx.Client, running: str) -> None:
    response = http.get(f"/search-jobs/{running}/events", headers={"Last-Event-ID": "2"})
    assert "must be at most 1" in assert_problem(response, 422)["detail"]


@pytest.mark.parametrize(
    "nonsense", ["-1", "x", "", "1_0", "1.5", "1e99", "2147483648", str(2**80)]
)
def test_an_event_number_that_is_none_is_refused(
    http: httpx.Client, finished: str, nonsense: str
) -> None:
    response = http.get(f"/search-jobs/{finished}/events", headers={"Last-Event-ID": nonsense})
    (error,) = assert_problem(response, 422)["errors"]
    assert error["field"] == "Last-Event-ID"


@pytest.mark.parametrize("accept", ["text/event-stream", "text/*", "*/*", "text/html, */*;q=0.1"])
def test_whoever_takes_events_is_told(http: httpx.Client, finished: str, accept: str) -> None:
    response = http.get(f"/search-jobs/{finished}/events", headers={"Accept": accept})
    assert response.status_code == 200


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream;q=0", "nonsense"])
def test_whoever_takes_no_events_gets_none(http: httpx.Client, finished: str, accept: str) -> None:
    response = http.get(f"/search-jobs/{finished}/events", headers={"Accept": accept})
    assert "text/event-stream" in assert_problem(response, 406)["detail"]


def test_very_many_events_are_told_in_order_to_the_end(
    http: httpx.Client, finished: str, server: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_events = server.services.queue.events
    monkeypatch.setattr(server.services.queue, "events", lambda *asked: all_events(*asked)[:2])
    assert numbers(http.get(f"/search-jobs/{finished}/events").text) == [1, 2, 3, 4, 5, 6]


def test_followers_of_a_database_that_hangs_hold_up_nobody_else(
    http: httpx.Client, server: Live, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_followers = 33  # one more than asyncio's own threads can be
    news, services_of = event_stream._news, event_stream.services_of
    came, answering = Semaphore(0), threading.Event()

    def hanging(*asked: Any) -> event_stream.News:
        assert answering.wait(60)
        return news(*asked)

    def counted(request: Request) -> Services:
        came.release()
        return services_of(request)

    monkeypatch.setattr(event_stream, "_news", hanging)
    monkeypatch.setattr(event_stream, "services_of", counted)
    url = f"{server.url}/search-jobs/{finished}/events"
    with ThreadPoolExecutor(num_followers) as pool:
        try:
            followers = [pool.submit(httpx.get, url, timeout=60) for _ in range(num_followers)]
            for _ in range(num_followers):
                assert came.acquire(timeout=60)
            assert http.get("/readyz", timeout=10).status_code == 200
            assert http.post("/generate", json=PICTURE).status_code == 200
        finally:
            answering.set()
    assert all(numbers(one.result().text) == [1, 2, 3, 4, 5, 6] for one in followers)


class Following:
    """A stream that is being read, line by line, in another thread."""

    def __init__(self, url: str, job_id: str):
        self.lines: list[str] = []
        self._pool = ThreadPoolExecutor(1)
        self._response: httpx.Response | None = None
        self.done: Future[None] = self._pool.submit(
            self._read, f"{url}/search-jobs/{job_id}/events"
        )

    def _read(self, url: str) -> None:
        with httpx.stream("GET", url, timeout=30) as response:
            self._response = response
            for line in response.iter_lines():
                self.lines.append(line)

    @property
    def names(self) -> list[str]:
        return [line.removeprefix("event: ") for line in self.lines if line[:7] == "event: "]


@pytest.fixture
def running(http: httpx.Client) -> Iterator[str]:
    """A job that ends with the test."""
    job_id = post(http).id
    yield job_id
    if http.get(f"/search-jobs/{job_id}").json()["state"] in ("queued", "running"):
        end(http, job_id)


def test_events_are_told_as_they_happen(
    http: httpx.Client, server: Live, worker: Worker, running: str
) -> None:
    following = Following(server.url, running)
    wait_until(lambda: following.names == ["queued"])
    claim = worker.claim(running)
    wait_until(lambda: following.names == ["queued", "started"])
    worker.report(claim, 0.5)
    wait_until(lambda: following.names[2:] == ["progress"])
    end(http, running)
    following.done.result(10)
    assert following.names[3:] == ["finished"]
    assert not following.done.exception()


def test_a_silent_stream_pings(server: Live, running: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent_events, "PING_INTERVAL_S", 0.02)
    with httpx.stream("GET", f"{server.url}/search-jobs/{running}/events") as response:
        lines = response.iter_lines()
        wait_until(lambda: next(lines) == ": still here")


def test_a_client_that_hangs_up_is_forgotten(
    server: Live, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    events = server.services.queue.events
    monkeypatch.setattr(
        server.services.queue, "events", lambda *asked: looks.append(1) or events(*asked)
    )
    with httpx.stream("GET", f"{server.url}/search-jobs/{running}/events") as response:
        lines = response.iter_lines()  # kept: it hangs up when it is forgotten
        next(lines)
        wait_until(lambda: len(looks) > 3)
    counted: list[int] = []

    def nobody_looks() -> bool:
        counted.append(len(looks))
        return counted[-20:] == [len(looks)] * 20

    wait_until(nobody_looks)


def test_a_database_that_goes_away_breaks_no_stream(
    http: httpx.Client, server: Live, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, failures = server.services.queue, []
    events = queue.events

    def unsteady(*asked: Any) -> Any:
        if failures and len(failures) < 5:
            failures.append(1)
            raise StoreUnavailable("locked")
        return events(*asked)

    monkeypatch.setattr(queue, "events", unsteady)
    following = Following(server.url, running)
    wait_until(lambda: following.names == ["queued"])
    failures.append(1)
    wait_until(lambda: len(failures) == 5)
    end(http, running)
    following.done.result(10)
    assert following.names == ["queued", "finished"]


def test_a_server_that_stops_ends_its_streams(start_server: StartServer) -> None:
    with start_server() as live, httpx.Client(base_url=live.url) as http:
        job_id = post(http).id
        following = Following(live.url, job_id)
        wait_until(lambda: following.names == ["queued"])
        started = time.monotonic()
    following.done.result(10)
    assert time.monotonic() - started < 5
    with start_server() as live, httpx.Client(base_url=live.url) as http:
        end(http, job_id)  # nothing was lost
        assert Following(live.url, job_id).done.result(10) is None
