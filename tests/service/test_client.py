"""The typed client against a real server."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import service.client
from service.client import (
    AnswerUnreadable,
    Client,
    ClientError,
    Done,
    KeyUnsendable,
    Lost,
    Made,
    NoDefault,
    Order,
    ProblemError,
    Queued,
    Search,
    Stepped,
    Unreachable,
)
from service.png import read_provenance
from tests.service.conftest import StartServer
from tests.service.live import Live, wait_until


def test_a_client_gets_pictures(server: Live) -> None:
    with Client(server.url) as client:
        answer = client.generate(Order(class_id=2, steps=4, seed=9, num_images=2))
    assert [image.seed for image in answer.images] == [9, 10]
    assert [read_provenance(image.png).seed for image in answer.images] == [9, 10]


def test_a_client_follows_every_step(server: Live) -> None:
    with Client(server.url) as client:
        events = list(client.stream(Order(class_id=2, steps=3, preview=True)))
    queued, *steps, made, done = events
    assert isinstance(queued, Queued)
    assert queued.order["class_name"] == "c"
    assert [(s.step, s.steps) for s in steps if isinstance(s, Stepped)] == [(1, 3), (2, 3), (3, 3)]
    assert all(isinstance(step, Stepped) and step.preview for step in steps)
    assert isinstance(made, Made)
    assert read_provenance(made.image.png).class_name == "c"
    assert isinstance(done, Done)
    assert (done.num_images, done.num_lost) == (1, 0)


def test_a_stream_that_is_left_is_cancelled(server: Live) -> None:
    engine = server.services.engine
    with Client(server.url) as client:
        events = client.stream(Order(class_id=0, steps=256, num_images=8))
        assert isinstance(next(events), Queued)
        events.close()
    wait_until(lambda: engine.stats().queued_rows == 0)
    assert engine.stats().lanes == 0


def test_a_lost_image_is_an_event(server: Live) -> None:
    order = Order(class_id=0, steps=256, num_images=8, deadline_ms=1)
    with Client(server.url) as client:
        lost = [event for event in client.stream(order) if isinstance(event, Lost)]
    assert len(lost) == 8
    assert lost[0].error.status == 504


def test_a_problem_is_raised_with_its_fields(server: Live) -> None:
    with Client(server.url) as client:
        for ask in (client.generate, lambda order: list(client.stream(order))):
            with pytest.raises(ProblemError, match="solver") as caught:
                ask(Order(class_id=0, steps=4, solver="nonesuch"))
            assert caught.value.status == 404
            assert caught.value.fields[0].field == "solver"
            assert caught.value.fields[0].value == "nonesuch"


def test_a_full_queue_is_raised_with_the_time_to_wait(start_server: StartServer) -> None:
    with start_server(queue_rows=2048) as live, Client(live.url) as client:
        stream = client.stream(Order(class_id=0, steps=256, num_images=4))
        next(stream)
        with pytest.raises(ProblemError) as caught:
            client.generate(Order(class_id=0, steps=256, num_images=4))
        stream.close()
    assert caught.value.status == 429
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= 1


def test_solvers_are_read_imported_and_promoted(server: Live) -> None:
    with Client(server.url) as client:
        version = client.solver_version("flowdcn-b-256-6", 1)
        document = {"name": "from-a-client", "table": version.table.model_dump()}
        assert client.import_solver(document).digest == version.digest
        assert client.move_alias("from-a-client", "champion", 1, expected=None).version == 1
        with pytest.raises(ProblemError) as caught:
            client.move_alias("from-a-client", "champion", 1, expected=7)
        assert caught.value.current_version == 1
        assert client.solver("from-a-client").aliases == {"champion": 1}
        assert "from-a-client" in [entry.name for entry in client.solvers(steps=6)]
        assert client.model("tiny") == client.model() == client.models()[0]


def test_a_key_is_sent(start_server: StartServer) -> None:
    with start_server(api_keys="right") as live:
        with Client(live.url, api_key="right") as client:
            assert client.models()
        with Client(live.url, api_key="wrong") as client, pytest.raises(ProblemError) as caught:
            client.models()
    assert caught.value.status == 401


def test_no_server_is_unreachable() -> None:
    with Client("http://127.0.0.1:1") as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1.*is the server up"):
            client.models()
        with pytest.raises(Unreachable):
            list(client.stream(Order(class_id=0, steps=1)))


def test_an_answer_of_something_else_is_told_as_it_is() -> None:
    def gateway(request: httpx.Request) -> httpx.Response:
        return httpx.Response(502, text="<html>bad gateway</html>")

    transport = httpx.MockTransport(gateway)
    with (
        Client("http://proxy", transport=transport) as client,
        pytest.raises(ProblemError, match="502") as caught,
    ):
        client.models()
    assert caught.value.status == 502


PAGE = "<!doctype html>\n\n<title>Something else</title>\n"
ORDER = Order(class_id=0, steps=1)
EVERY_METHOD: dict[str, Callable[[Client], object]] = {
    "generate": lambda client: client.generate(ORDER),
    "stream": lambda client: list(client.stream(ORDER)),
    "models": lambda client: client.models(),
    "model": lambda client: client.model(),
    "load_model": lambda client: client.load_model("x"),
    "unload_model": lambda client: client.unload_model("x"),
    "solvers": lambda client: client.solvers(),
    "solver": lambda client: client.solver("x"),
    "solver_version": lambda client: client.solver_version("x", 1),
    "import_solver": lambda client: client.import_solver({}),
    "move_alias": lambda client: client.move_alias("x", "champion", 1, None),
    "search": lambda client: client.search(Search(steps=5)),
    "search_jobs": lambda client: client.search_jobs(),
    "search_job": lambda client: client.search_job("x"),
    "cancel": lambda client: client.cancel("x"),
    "stop": lambda client: client.stop("x"),
    "follow": lambda client: list(client.follow("x")),
}


def answering(response: httpx.Response) -> Client:
    return Client("http://server", transport=httpx.MockTransport(lambda request: response))


def test_no_method_is_forgotten() -> None:
    methods = {name for name in vars(Client) if not name.startswith("_")}
    assert methods == {*EVERY_METHOD, "close"}


@pytest.mark.parametrize("name", EVERY_METHOD)
@pytest.mark.parametrize(
    "page",
    [
        {"html": PAGE},
        {"json": {}},
        {"json": []},
        {"text": ""},
        {"content": b"no zip", "headers": {"Content-Encoding": "gzip"}},
    ],
    ids=str,
)
def test_something_else_than_a_server_of_ours_is_told(name: str, page: dict[str, Any]) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, **page)

    with Client("http://server", transport=httpx.MockTransport(handle)) as client:
        with pytest.raises(AnswerUnreadable, match=r"http://server.*: not an answer") as caught:
            EVERY_METHOD[name](client)
        assert "\n" not in str(caught.value)


QUEUED = 'event: queued\ndata: {"id": "1"}\n\n'
DONE = 'event: done\ndata: {"num_images": 0, "num_lost": 0, "timing_ms": null}\n\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PAGE, "ended without `done`"),
        (DONE, "does not begin with `queued`"),
        (QUEUED, "ended without `done`"),
        (QUEUED + "event: step\n\n", "unreadable event 'step': Invalid JSON"),
        (QUEUED + "event: step\ndata: [1]\n\n", "unreadable event 'step': Input should be"),
        (QUEUED + "event: step\ndata: {}\n\n", "unreadable event 'step': KeyError: 'index'"),
        (QUEUED + 'event: image\ndata: {"index": 0}\n\n', "event 'image': seed: Field required"),
        (QUEUED + 'event: error\ndata: {"index": 0, "problem": 1}\n\n', "event 'error': TypeError"),
        (QUEUED + "event: paint\ndata: {}\n\n", "unknown name 'paint'"),
        ("id: one\n" + QUEUED, "unreadable event 'queued': ValueError"),
    ],
)
def test_a_stream_that_is_not_of_ours_is_told(text: str, told: str) -> None:
    headers = {"Content-Type": "text/event-stream"}
    with (
        answering(httpx.Response(200, text=text, headers=headers)) as client,
        pytest.raises(AnswerUnreadable, match=told),
    ):
        list(client.stream(ORDER))


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines", "tab\t", "space ", "\udcff", "\x7f"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(KeyUnsendable, match="the API key must be printable ASCII") as caught:
        Client(api_key=key)
    assert key not in str(caught.value)
    with Client() as client, pytest.raises(KeyUnsendable, match="the idempotency key must be"):
        client.search(Search(steps=5), idempotency_key=key)


def test_a_url_that_is_none_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="http://server:port: Invalid port"):
        Client("http://server:port")


def test_every_error_is_exported() -> None:
    kinds = ClientError.__subclasses__()
    assert {getattr(service.client, kind.__name__) for kind in kinds} == set(kinds)
    assert {kind.__name__ for kind in kinds} <= set(service.client.__all__)


def test_a_server_whose_default_model_is_gone_asks_for_a_name() -> None:
    def nothing_at_hand(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"models": []})

    transport = httpx.MockTransport(nothing_at_hand)
    with (
        Client("http://server", transport=transport) as client,
        pytest.raises(NoDefault, match="http://server: none of its models is the default"),
    ):
        client.model()


def test_the_client_needs_no_torch() -> None:
    code = "import service.client, service.cli, sys; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_only_what_is_said_is_sent() -> None:
    sent = json.loads(json.dumps(Order(class_id=0, steps=4).as_json()))
    assert sent.keys() == {
        "class_id", "steps", "solver", "num_images", "deterministic", "preview",
    }  # fmt: skip
