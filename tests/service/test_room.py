"""A model that is loaded leaves the others the memory that their steps take."""

import threading

import httpx
import pytest
import torch

from diffusion_core.model import ModelFolder
from tests.fakes import write_tiny_model
from tests.service.live import Live, assert_problem, wait_until

STEP_BYTES = 5000  # of the model that is there first


class Device:
    """Has so much memory left; while a network computes, its step and a cache take of it."""

    def __init__(self, free: int):
        self.free = free
        self.computing = threading.Event()

    def available(self, device: torch.device) -> int:
        return self.free - 2 * STEP_BYTES * self.computing.is_set()


@pytest.fixture
def second(tmp_path) -> ModelFolder:
    return write_tiny_model(tmp_path / "models", "second")


@pytest.fixture
def device(second: ModelFolder, monkeypatch) -> Device:
    """With room for the second model and a step of the first, to the byte."""
    device = Device(second.num_bytes(torch.float32) + STEP_BYTES)
    monkeypatch.setattr("diffusion_core.model.available_memory", device.available)
    return device


@pytest.fixture
def live(start_server, tmp_path, device, monkeypatch):
    monkeypatch.setattr("service.engine.engine.working_memory", lambda model, rows: STEP_BYTES)
    write_tiny_model(tmp_path / "models", "first")
    with start_server(home=tmp_path, models=("first",)) as live:
        yield live


def residency(live: Live, method: str, name: str) -> httpx.Response:
    return httpx.request(method, f"{live.url}/models/{name}/residency", timeout=60)


def test_a_model_is_loaded_where_a_step_of_the_others_still_has_room(live: Live) -> None:
    assert residency(live, "PUT", "second").status_code == 200


def test_a_model_that_would_take_the_room_of_the_others_steps_is_refused_with_all_sizes(
    live: Live, device: Device
) -> None:
    device.free -= 1
    problem = assert_problem(residency(live, "PUT", "second"), 507)
    assert "and what runs there 5 kB, " in problem["detail"]


def test_a_model_that_has_left_needs_no_room_for_its_steps(live: Live, device: Device) -> None:
    device.free -= STEP_BYTES
    assert_problem(residency(live, "PUT", "second"), 507)
    residency(live, "DELETE", "first")
    assert residency(live, "PUT", "second").status_code == 200


def test_what_a_step_takes_just_now_does_not_count_twice(live: Live, device: Device) -> None:
    opened = threading.Event()

    def compute(*_: object) -> None:
        device.computing.set()
        assert opened.wait(20)

    network = live.services.models["first"].network
    network.register_forward_pre_hook(compute)
    network.register_forward_hook(lambda *_: device.computing.clear())
    body = {"class_id": 1, "steps": 200, "model": "first"}
    answers: list[httpx.Response] = []
    drawing = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{live.url}/generate", json=body, timeout=60))
    )
    drawing.start()
    assert device.computing.wait(20)
    loading = threading.Thread(target=lambda: answers.append(residency(live, "PUT", "second")))
    loading.start()
    wait_until(lambda: live.services.residency.is_changing)
    opened.set()
    for thread in (loading, drawing):
        thread.join(30)
    assert [answer.status_code for answer in answers] == [200, 200]
