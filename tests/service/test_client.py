"""The typed client against a real server."""

import json
import subprocess
import sys

import httpx
import pytest

from service.client import (
    Client,
    Done,
    Lost,
    Made,
    NoDefault,
    Order,
    ProblemError,
    Queued,
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
