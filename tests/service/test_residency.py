"""Models come and go while others draw."""

import base64
import io
import shutil
import threading
import weakref

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from diffusion_core import memory, model
from diffusion_core.errors import ModelInvalid, ModelTooLarge
from diffusion_core.model import LoadedModel, ModelFolder
from service.answers import ModelAnswer
from service.client import Client
from service.engine.warm_up import LAST_S
from service.errors import NotResident
from tests.fakes import TINY_SIZES, write_tiny_model
from tests.service.live import Live, assert_problem, wait_until

BODY = {"class_id": 1, "steps": 3, "seed": 4, "solver": "euler"}


@pytest.fixture
def live(start_server, tmp_path):
    """A server with one of two models loaded."""
    write_tiny_model(tmp_path / "models", "first")
    write_tiny_model(tmp_path / "models", "second")
    with start_server(home=tmp_path, models=("first",)) as live:
        yield live


def post(live: Live, model: str, **changes) -> httpx.Response:
    return httpx.post(f"{live.url}/generate", json={**BODY, "model": model, **changes})


def residency(live: Live, method: str, name: str) -> httpx.Response:
    return httpx.request(method, f"{live.url}/models/{name}/residency", timeout=60)


def residents(live: Live) -> list[str]:
    models = httpx.get(f"{live.url}/models").json()["models"]
    return [model["name"] for model in models if model["resident"]]


def pixels(base64_png: str) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(base64_png))))


def test_a_model_that_is_only_at_hand_says_how_to_load_it(live: Live) -> None:
    problem = assert_problem(post(live, "second"), 409)
    assert "PUT /models/second/residency" in problem["detail"]


def test_a_loaded_model_draws_at_once_and_an_unloaded_one_no_more(live: Live) -> None:
    loaded = ModelAnswer.model_validate_json(residency(live, "PUT", "second").content)
    assert loaded.resident
    assert residents(live) == ["first", "second"]
    # The same weights under another name: the same picture, and a provenance of its own.
    first, second = (post(live, name).json()["images"] for name in ("first", "second"))
    assert len(first) == len(second) == 1
    assert first[0]["base64"] != second[0]["base64"]
    assert np.array_equal(pixels(first[0]["base64"]), pixels(second[0]["base64"]))
    assert not residency(live, "DELETE", "second").json()["resident"]
    assert residents(live) == ["first"]
    assert_problem(post(live, "second"), 409)
    assert post(live, "first").status_code == 200


def test_loading_and_unloading_twice_changes_nothing(live: Live) -> None:
    for method in ("PUT", "PUT", "DELETE", "DELETE"):
        assert residency(live, method, "second").status_code == 200
    assert residents(live) == ["first"]


def test_an_unknown_model_can_be_neither_loaded_nor_unloaded(live: Live) -> None:
    for method in ("PUT", "DELETE"):
        assert "first, " in assert_problem(residency(live, method, "third"), 404)["detail"]


def test_a_model_added_while_the_server_runs_can_be_loaded(live: Live, tmp_path) -> None:
    write_tiny_model(tmp_path / "models", "third")
    assert residency(live, "PUT", "third").status_code == 200
    assert post(live, "third").status_code == 200


def test_a_loaded_model_whose_folder_is_gone_can_still_be_unloaded(live: Live, tmp_path) -> None:
    residency(live, "PUT", "second")
    shutil.rmtree(tmp_path / "models" / "second")
    assert residency(live, "PUT", "second").json()["resident"]
    assert not residency(live, "DELETE", "second").json()["resident"]
    assert residents(live) == ["first"]
    assert_problem(residency(live, "DELETE", "second"), 404)


def test_another_model_under_the_name_of_a_loaded_one_has_to_wait(live: Live, tmp_path) -> None:
    card = tmp_path / "models" / "second" / "card.json"
    residency(live, "PUT", "second")
    card.write_text(
        card.read_text().replace('"default_solver": "ab2"', '"default_solver": "euler"')
    )
    assert "unload it first" in assert_problem(residency(live, "PUT", "second"), 409)["detail"]
    residency(live, "DELETE", "second")
    assert residency(live, "PUT", "second").status_code == 200


def test_other_weights_under_the_card_of_a_loaded_model_have_to_wait(live: Live, tmp_path) -> None:
    weights = tmp_path / "models" / "second" / "model.safetensors"
    residency(live, "PUT", "second")
    save_file({name: -value for name, value in load_file(weights).items()}, weights)
    assert "unload it first" in assert_problem(residency(live, "PUT", "second"), 409)["detail"]
    residency(live, "DELETE", "second")
    assert residency(live, "PUT", "second").status_code == 200


def test_a_folder_without_its_weights_is_told_of_only_when_it_is_loaded(
    live: Live, tmp_path
) -> None:
    (tmp_path / "models" / "second" / "model.safetensors").unlink()
    assert residents(live) == ["first"]
    problem = assert_problem(residency(live, "PUT", "second"), 422)
    assert "model.safetensors: No such file" in problem["detail"]


def test_a_file_that_the_system_does_not_map_is_refused(live: Live, tmp_path, monkeypatch) -> None:
    def cannot(*_: object) -> None:
        raise RuntimeError("unable to mmap 40 bytes: Cannot allocate memory")

    monkeypatch.setattr("diffusion_core.tensors.load_file", cannot)
    problem = assert_problem(residency(live, "PUT", "second"), 422)
    assert "unable to mmap" in problem["detail"]


def test_a_model_that_does_not_fit_is_refused_with_the_sizes(live: Live, monkeypatch) -> None:
    monkeypatch.setattr("diffusion_core.model.available_memory", lambda device: 10)
    problem = assert_problem(residency(live, "PUT", "second"), 507)
    assert "10 bytes are free" in problem["detail"]
    assert post(live, "first").status_code == 200


def test_broken_weights_are_refused_and_leave_the_server_as_it_was(live: Live, tmp_path) -> None:
    (tmp_path / "models" / "second" / "model.safetensors").write_bytes(b"no weights")
    assert_problem(residency(live, "PUT", "second"), 422)
    assert residents(live) == ["first"]


class Gate:
    """Holds the forwards of a network until it is opened."""

    def __init__(self, network: torch.nn.Module):
        self.reached, self.opened = threading.Event(), threading.Event()
        network.register_forward_pre_hook(self._wait)

    def _wait(self, *_: object) -> None:
        self.reached.set()
        assert self.opened.wait(20)


def test_images_under_way_are_finished_before_their_model_goes(live: Live) -> None:
    residency(live, "PUT", "second")
    gate = Gate(live.services.models["second"].network)
    answers: list[httpx.Response] = []
    drawing = threading.Thread(target=lambda: answers.append(post(live, "second")))
    drawing.start()
    assert gate.reached.wait(20)
    leaving = threading.Thread(target=lambda: answers.append(residency(live, "DELETE", "second")))
    leaving.start()
    wait_until(lambda: "second" not in live.services.models)
    assert_problem(post(live, "second"), 409)
    gate.opened.set()
    drawing.join(20)
    leaving.join(20)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert "second" not in live.services.engine.stats().row_limits


@pytest.mark.parametrize("name", ["first", "second"], ids=["loaded at the start", "loaded later"])
def test_nothing_keeps_an_unloaded_model_alive(live: Live, name: str) -> None:
    residency(live, "PUT", name)
    post(live, name, num_images=3)
    with httpx.stream(
        "POST", f"{live.url}/generate", json={**BODY, "model": name},
        headers={"Accept": "text/event-stream"},
    ) as stream:  # fmt: skip
        stream.read()
    network = weakref.ref(live.services.models[name].network)
    residency(live, "DELETE", name)
    assert network() is None


def test_a_model_that_was_measured_at_the_start_can_go_too(
    start_server, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("service.engine.engine.best_row_count", lambda model, time_step: 4)
    write_tiny_model(tmp_path / "models", "first")
    with start_server(home=tmp_path, models=("first",), max_rows=None) as live:
        network = weakref.ref(live.services.models["first"].network)
        residency(live, "DELETE", "first")
        assert network() is None


def test_the_device_gives_memory_back_once_the_model_is_really_gone(
    live: Live, monkeypatch
) -> None:
    network = weakref.ref(live.services.models["first"].network)
    alive: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive.append(network() is not None))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    residency(live, "DELETE", "first")
    assert alive == [False]


def test_a_running_image_of_another_model_is_untouched_by_coming_and_going(live: Live) -> None:
    alone = post(live, "first", steps=24).json()["images"][0]["base64"]
    gate = Gate(live.services.models["first"].network)
    answers: list[httpx.Response] = []
    drawing = threading.Thread(target=lambda: answers.append(post(live, "first", steps=24)))
    drawing.start()
    assert gate.reached.wait(20)
    coming = threading.Thread(target=lambda: residency(live, "PUT", "second"))
    coming.start()
    gate.opened.set()
    coming.join(20)
    residency(live, "DELETE", "second")
    drawing.join(20)
    assert answers[0].json()["images"][0]["base64"] == alone


def test_the_client_loads_and_unloads(live: Live) -> None:
    with Client(live.url) as client:
        assert client.load_model("second").resident
        assert not client.unload_model("second").resident


def test_the_default_model_may_leave_and_its_requests_say_so(live: Live) -> None:
    residency(live, "DELETE", "first")
    assert_problem(httpx.post(f"{live.url}/generate", json=BODY), 409)
    with pytest.raises(NotResident):
        live.services.residency.get("first")


def test_the_memory_of_the_machine_is_asked_for_real() -> None:
    free = memory.available_memory(torch.device("cpu"))
    assert free is None or free > 2**20


def too_large_for(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The device has room for every model but this one."""
    real = ModelFolder.num_bytes

    def num_bytes(folder: ModelFolder, dtype: torch.dtype) -> int:
        return 10**18 if folder.card.name == name else real(folder, dtype)

    monkeypatch.setattr(ModelFolder, "num_bytes", num_bytes)


def test_of_models_that_nobody_named_a_server_starts_with_those_that_fit(
    start_server, tmp_path, monkeypatch, caplog
) -> None:
    write_tiny_model(tmp_path / "models", "first")
    too_large_for(monkeypatch, "glyphs")
    with start_server(home=tmp_path, models=()) as live:
        assert "glyphs" not in residents(live)
        assert "first" in residents(live)
    assert "not loaded: glyphs needs 1e+09 GB" in caplog.text


def test_a_server_starts_without_a_broken_model_that_nobody_named(
    start_server, tmp_path, caplog
) -> None:
    folder = write_tiny_model(tmp_path / "models", "first")
    (folder.path / "model.safetensors").write_bytes(b"no weights")
    with start_server(home=tmp_path, models=()) as live:
        assert residents(live) == ["glyphs", "glyphs-dcn", "glyphs-ddpm"]
    assert f"not loaded: {folder.path / 'model.safetensors'}" in caplog.text


def test_a_server_does_not_start_with_a_broken_model_that_was_named(start_server, tmp_path) -> None:
    folder = write_tiny_model(tmp_path / "models", "first")
    (folder.path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelInvalid), start_server(home=tmp_path, models=("first",)):
        pass


def test_a_server_starts_with_a_model_whose_solvers_cannot_be_read(
    start_server, tmp_path, caplog
) -> None:
    folder = write_tiny_model(tmp_path / "models", "first")
    (folder.path / "solvers").mkdir()
    (folder.path / "solvers" / "broken.json").write_text("{")
    with start_server(home=tmp_path, models=("first",)) as live:
        assert residents(live) == ["first"]
    assert "broken.json is no shipped solver" in caplog.text


def no_room_on_the_device_for(monkeypatch: pytest.MonkeyPatch, hidden_size: int) -> None:
    """Memory runs out while a network of this width moves to the device."""
    real = model.settle

    def settle(network: nn.Module, *arguments: object) -> None:
        if network.x_embedder.proj.out_channels == hidden_size:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(network, *arguments)

    monkeypatch.setattr(model, "settle", settle)


def test_a_model_that_fills_memory_while_it_is_loaded_is_refused(live: Live, monkeypatch) -> None:
    no_room_on_the_device_for(monkeypatch, TINY_SIZES["hidden_size"])
    problem = assert_problem(residency(live, "PUT", "second"), 507)
    assert "second: memory ran out while it was loaded on cpu" in problem["detail"]
    assert residents(live) == ["first"]


def test_a_server_starts_without_a_model_that_nobody_named_and_that_fills_memory(
    start_server, tmp_path, monkeypatch, caplog
) -> None:
    write_tiny_model(tmp_path / "models", "first")
    no_room_on_the_device_for(monkeypatch, TINY_SIZES["hidden_size"])
    with start_server(home=tmp_path, models=()) as live:
        assert residents(live) == ["glyphs", "glyphs-dcn", "glyphs-ddpm"]
    assert "not loaded: first: memory ran out" in caplog.text


def no_forward_of(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Memory runs out whenever this model is measured."""

    def timed(model: LoadedModel, rows: int) -> float:
        if model.card.name == name:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 2 * LAST_S  # so no more rows are tried

    monkeypatch.setattr("service.engine.engine.timed_step", timed)


def test_a_model_whose_forward_has_no_room_is_refused_and_leaves_nothing_behind(
    start_server, tmp_path, monkeypatch
) -> None:
    write_tiny_model(tmp_path / "models", "first")
    no_forward_of(monkeypatch, "glyphs")
    with start_server(home=tmp_path, models=("first",), max_rows=None) as live:
        problem = assert_problem(residency(live, "PUT", "glyphs"), 507)
        assert "a forward of 2 rows does not" in problem["detail"]
        assert residents(live) == ["first"]
        assert live.services.fid_proxy.watched_models == ()
        assert live.services.engine.stats().row_limits == {"first": 2}


def test_a_server_starts_without_a_model_that_nobody_named_and_whose_forward_has_no_room(
    start_server, tmp_path, monkeypatch
) -> None:
    write_tiny_model(tmp_path / "models", "first")
    no_forward_of(monkeypatch, "glyphs")
    with start_server(home=tmp_path, models=(), max_rows=None) as live:
        assert residents(live) == ["glyphs-dcn", "glyphs-ddpm", "first"]
        assert "glyphs" not in live.services.fid_proxy.watched_models


def test_a_server_does_not_start_without_a_model_that_was_named(
    start_server, tmp_path, monkeypatch
) -> None:
    write_tiny_model(tmp_path / "models", "first")
    too_large_for(monkeypatch, "first")
    with pytest.raises(ModelTooLarge), start_server(home=tmp_path, models=("first",)):
        pass
