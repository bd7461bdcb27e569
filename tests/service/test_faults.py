"""What is injected here happens one day: each with the answer that it must get."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import httpx
import pytest
import torch
from torch import Tensor, nn

from solver_store.errors import StoreUnavailable
from tests.service.conftest import StartServer
from tests.service.live import Live, assert_problem, read_stream, wait_until
from tests.solver_store.builders import SOURCE, euler

ROUND = {"class_id": 0, "steps": 100, "solver": "euler", "guidance_scale": 1.0}
PNG = {"Accept": "image/png"}
EVENTS = {"Accept": "text/event-stream"}


def network(live: Live) -> nn.Module:
    return live.services.models["tiny"].network


@contextmanager
def slow(live: Live, seconds_per_step: float) -> Iterator[None]:
    def wait(module: nn.Module, arguments: Any) -> None:
        time.sleep(seconds_per_step)

    handle = network(live).register_forward_pre_hook(wait)
    try:
        yield
    finally:
        handle.remove()


def cancelled(live: Live) -> float:
    return live.metric('fewstep_requests_total{model="tiny",outcome="cancelled"}')


def ended(live: Live, outcome: str) -> float:
    """How many requests of any model ended so."""
    models = ("tiny", "unknown")
    return sum(
        live.metric(f'fewstep_requests_total{{model="{model}",outcome="{outcome}"}}')
        for model in models
    )


def test_a_full_queue_says_when_to_come_again(start_server: StartServer) -> None:
    with (
        start_server(queue_rows=150) as live,
        slow(live, 0.01),
        httpx.Client(base_url=live.url, timeout=30) as http,
        ThreadPoolExecutor() as pool,
    ):
        running = pool.submit(httpx.post, f"{live.url}/generate", json=ROUND, timeout=30)
        wait_until(lambda: live.services.engine.stats().queued_rows > 0)
        for headers in ({}, PNG, EVENTS):
            response = http.post("/generate", json=ROUND, headers=headers)
            problem = assert_problem(response, 429)
            assert problem["type"] == "urn:fewstep:problem:queue-full"
            assert int(response.headers["retry-after"]) >= 1
        too_large = http.post("/generate", json=ROUND | {"steps": 200})
        assert "retry-after" not in too_large.headers
        assert_problem(too_large, 422)
        assert running.result().status_code == 200
        assert live.metric('fewstep_requests_total{model="tiny",outcome="rejected"}') == 3


@pytest.mark.parametrize("headers", [{}, PNG])
def test_a_missed_deadline_is_answered_in_time(
    http: httpx.Client, server: Live, headers: dict[str, str]
) -> None:
    with slow(server, 0.01):
        started = time.monotonic()
        response = http.post("/generate", json=ROUND | {"deadline_ms": 100}, headers=headers)
        assert time.monotonic() - started < 0.9
    assert_problem(response, 504)


def test_a_missed_deadline_is_an_event_of_the_stream(http: httpx.Client, server: Live) -> None:
    with slow(server, 0.01):
        body = ROUND | {"deadline_ms": 100}
        events = read_stream(http.post("/generate", json=body, headers=EVENTS))
    assert [name for name, _ in events[-2:]] == ["error", "done"]
    assert events[-2][1]["problem"]["status"] == 504
    assert events[-1][1] == {
        "id": events[0][1]["id"], "num_images": 0, "num_lost": 1, "timing_ms": None,
    }  # fmt: skip


def hang_up_while_waiting(live: Live, headers: dict[str, str]) -> None:
    with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=live.url) as http:
        http.post("/generate", json=ROUND, headers=headers, timeout=0.15)


def hang_up_in_the_middle(live: Live, headers: dict[str, str]) -> None:
    with (
        httpx.Client(base_url=live.url, timeout=30) as http,
        http.stream("POST", "/generate", json=ROUND, headers=headers) as response,
    ):
        assert "event: step" in islice(response.iter_lines(), 20)


@pytest.mark.parametrize(
    ("headers", "hang_up"),
    [({}, hang_up_while_waiting), (PNG, hang_up_while_waiting), (EVENTS, hang_up_in_the_middle)],
    ids=["json", "png", "events"],
)
def test_a_client_that_hangs_up_frees_its_lanes(
    server: Live, headers: dict[str, str], hang_up: Callable[[Live, dict[str, str]], None]
) -> None:
    engine = server.services.engine
    before, steps = cancelled(server), engine.stats().steps
    with slow(server, 0.01):
        hang_up(server, headers)
        wait_until(lambda: engine.stats().queued_rows == 0)
    assert engine.stats().steps - steps < 60, "of the hundred that were asked for"
    wait_until(lambda: cancelled(server) == before + 1)


def test_a_hang_up_leaves_the_neighbours_alone(http: httpx.Client, server: Live) -> None:
    body = ROUND | {"steps": 30, "seed": 3, "deterministic": True}
    alone = http.post("/generate", json=body).json()
    with slow(server, 0.005), ThreadPoolExecutor() as pool:
        neighbour = pool.submit(http.post, "/generate", json=body)
        with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=server.url) as leaving:
            leaving.post("/generate", json=ROUND, timeout=0.05)
        assert neighbour.result().json()["images"] == alone["images"]


@contextmanager
def poisoned(live: Live, class_label: int) -> Iterator[None]:
    """The network answers NaN for one class."""

    def poison(module: nn.Module, arguments: tuple[Tensor, Tensor, Tensor], out: Tensor) -> Tensor:
        bad = (arguments[2] == class_label).view(-1, 1, 1, 1)
        return torch.where(bad, torch.nan, out)

    handle = network(live).register_forward_hook(poison)
    try:
        yield
    finally:
        handle.remove()


def test_a_nan_fails_its_own_request_alone(http: httpx.Client, server: Live) -> None:
    body = ROUND | {"steps": 10}
    with poisoned(server, 3), ThreadPoolExecutor() as pool:
        answers = [
            pool.submit(http.post, "/generate", json=body | {"class_id": class_id})
            for class_id in (0, 3, 1)
        ]
        good, bad, other = (answer.result() for answer in answers)
    problem = assert_problem(bad, 422)
    assert problem["type"] == "urn:fewstep:problem:image-failed"
    assert good.status_code == other.status_code == 200


@pytest.fixture
def diverging(server: Live) -> str:
    """A solver whose numbers follow every rule, and whose images grow without bound."""
    table = replace(euler(3), weights=((1e30,), (1e30,), (1e30,)))
    return server.services.store.publish("diverging", table, source=SOURCE).version.name + "/1"


@pytest.mark.parametrize("headers", [{}, PNG, EVENTS], ids=["json", "png", "events"])
def test_an_image_that_diverges_is_refused_with_what_was_asked_for(
    http: httpx.Client, server: Live, diverging: str, headers: dict[str, str]
) -> None:
    failed = 'fewstep_requests_total{model="tiny",outcome="error"}'
    before = server.metric(failed)
    body = {"class_id": 0, "steps": 3, "solver": diverging, "seed": 7, "preview": True}
    response = http.post("/generate", json=body, headers=headers)
    if headers is EVENTS:
        events = read_stream(response)
        problem = next(data["problem"] for name, data in events if name == "error")
    else:
        problem = assert_problem(response, 422)
    assert (problem["status"], problem["title"]) == (422, "Image failed")
    assert "diverges with this solver (3 steps, guidance scale 1.5, seed 7)" in problem["detail"]
    # Counted as an error all the same: the model may be broken.
    wait_until(lambda: server.metric(failed) == before + 1)


def test_out_of_memory_is_answered_and_survived(start_server: StartServer) -> None:
    def fail(module: nn.Module, arguments: Any) -> None:
        raise torch.OutOfMemoryError("injected")

    with start_server() as live, httpx.Client(base_url=live.url, timeout=30) as http:
        handle = network(live).register_forward_pre_hook(fail)
        problem = assert_problem(http.post("/generate", json=ROUND), 503)
        assert problem["type"] == "urn:fewstep:problem:out-of-memory"
        handle.remove()
        assert http.post("/generate", json=ROUND).status_code == 200
        assert ended(live, "error") == 1


def test_a_database_that_is_away_counts_as_an_error(
    http: httpx.Client, server: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise StoreUnavailable("gone")

    before = ended(server, "error")
    monkeypatch.setattr("service.routes.generate.take_order", fail)
    assert_problem(http.post("/generate", json=ROUND), 503)
    wait_until(lambda: ended(server, "error") == before + 1)


def test_an_unforeseen_fault_of_a_step_is_answered_and_survived(
    http: httpx.Client, server: Live
) -> None:
    def fail(module: nn.Module, arguments: Any) -> None:
        raise ZeroDivisionError("a secret of the server")

    handle = network(server).register_forward_pre_hook(fail)
    problem = assert_problem(http.post("/generate", json=ROUND), 500)
    handle.remove()
    assert "secret" not in problem["detail"]
    assert http.post("/generate", json=ROUND | {"steps": 1}).status_code == 200


def test_a_draining_server_is_not_ready_and_takes_nothing(start_server: StartServer) -> None:
    with start_server() as live, httpx.Client(base_url=live.url, timeout=30) as http:
        assert http.get("/readyz").json() == {"status": "ready"}
        live.services.engine.drain(0.0)
        problem = assert_problem(http.get("/readyz"), 503)
        assert problem["type"] == "urn:fewstep:problem:draining"
        assert_problem(http.post("/generate", json=ROUND), 503)
        assert_problem(http.put("/models/glyphs/residency"), 503)
        assert http.get("/livez").json() == {"status": "live"}
        assert ended(live, "rejected") == 1


def test_a_stuck_engine_is_alive_but_not_ready_and_the_log_says_why(
    start_server: StartServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("service.readiness.PROBE_TIMEOUT_S", 0.05)
    with start_server() as live, slow(live, 0.5), httpx.Client(base_url=live.url) as http:
        problem = assert_problem(http.get("/readyz"), 503)
        assert problem["type"] == "urn:fewstep:problem:not-ready"
        assert http.get("/livez").status_code == 200
    assert "not ready: a probe forward did not come through in 0.05 s" in caplog.text


def test_an_engine_in_the_middle_of_a_long_step_is_ready(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.readiness.PROBE_TIMEOUT_S", 0.05)
    monkeypatch.setattr("service.readiness.FRESH_S", 0.0)  # it has rested for longer
    with (
        start_server() as live,
        slow(live, 1.0),
        httpx.Client(base_url=live.url, timeout=30) as http,
        ThreadPoolExecutor() as pool,
    ):
        drawing = pool.submit(http.post, "/generate", json=ROUND | {"steps": 2})
        wait_until(lambda: live.services.engine.stats().lanes > 0)
        assert http.get("/readyz").status_code == 200
        assert live.metric("fewstep_ready") == 1
        assert drawing.result().status_code == 200


def test_a_server_whose_device_is_broken_says_that_it_needs_a_restart(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered")

    def broken(*_: object) -> None:
        raise fault

    with start_server() as live, httpx.Client(base_url=live.url, timeout=30) as http:
        monkeypatch.setattr("service.engine.device_health.synchronise", broken)
        assert http.get("/livez").status_code == 200
        live.services.models["tiny"].network.register_forward_pre_hook(broken)
        assert_problem(http.post("/generate", json=ROUND), 500)
        problem = assert_problem(http.get("/livez"), 503)
        assert problem["type"] == "urn:fewstep:problem:device-broken"
        assert "uncorrectable ECC error" in problem["detail"]


def test_an_unforeseen_error_of_a_route_is_a_mute_problem(
    http: httpx.Client, server: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("a secret of the server")

    monkeypatch.setattr("service.routes.models._of_resident", fail)
    problem = assert_problem(http.get("/models/tiny"), 500)
    assert "secret" not in str(problem)
