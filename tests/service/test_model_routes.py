"""/models: what is loaded, and what `auto` would take."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from diffusion_core.model import LoadedModel, load_checked_model
from service.answers import ModelAnswer, ModelsAnswer
from tests.fakes import write_tiny_model
from tests.service.live import Live, assert_problem

THREADS_OF_ALL_ROUTES = 40  # anyio's, in which Starlette runs what is no coroutine


def test_a_model_shows_its_card(http: httpx.Client, server: Live) -> None:
    response = http.get("/models/tiny")
    shown = ModelAnswer.model_validate_json(response.content, extra="forbid")
    assert (shown.schedule, shown.prediction) == ("rectified-flow", "velocity")
    assert shown.latent_shape == [3, 8, 8]
    assert shown.classes == ["a", "b", "c", "d"]
    assert shown.default_guidance_scale == 1.5
    assert shown.digest == server.services.models["tiny"].digest
    assert shown.is_default


def test_a_model_shows_what_auto_takes_at_each_step_count(http: httpx.Client) -> None:
    best = http.get("/models/tiny").json()["best_solvers"]
    assert [entry["steps"] for entry in best] == list(range(1, 33))
    for entry in best[:6]:
        body = {"class_id": 0, "steps": entry["steps"]}
        assert http.post("/generate", json=body).json()["solver"] == entry["solver"]


def test_all_models_are_listed(http: httpx.Client) -> None:
    answer = ModelsAnswer.model_validate_json(http.get("/models").content, extra="forbid")
    names = [model.name for model in answer.models]
    assert names[0] == "tiny"  # what is resident comes first
    assert "glyphs" in names[1:]
    assert [model.resident for model in answer.models] == [True] + [False] * (len(names) - 1)


def test_an_unknown_model_is_not_found(http: httpx.Client) -> None:
    assert_problem(http.get("/models/nonesuch"), 404)


@pytest.mark.parametrize(
    "changes",
    [
        {"published_families": ["dit-xl-256"]},  # for another schedule
        {"prediction": "noise"},  # which tells nothing of the data where all is noise
        {"title": "\ud800"},  # no text
    ],
)
def test_a_card_that_breaks_a_rule_hides_no_other_model(start_server, tmp_path, changes) -> None:
    write_tiny_model(tmp_path / "models")
    card = write_tiny_model(tmp_path / "models", "odd").path / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))
    with start_server(home=tmp_path) as live:
        models = httpx.get(f"{live.url}/models").json()["models"]
        assert_problem(httpx.get(f"{live.url}/models/odd"), 404)
    assert [model["name"] for model in models] == ["tiny", "glyphs", "glyphs-dcn", "glyphs-ddpm"]


def test_where_auto_has_no_answer_its_other_step_counts_and_models_are_shown(
    start_server, tmp_path
) -> None:
    write_tiny_model(tmp_path / "models")
    with start_server(home=tmp_path) as live:
        with live.services.store.database.writing() as connection:
            connection.exec_driver_sql(
                "UPDATE solver_versions SET table_json = '[]' WHERE name = 'flowdcn-b-256-8'"
            )
        tiny, *others = httpx.get(f"{live.url}/models").json()["models"]
        assert_problem(httpx.post(f"{live.url}/generate", json={"class_id": 0, "steps": 8}), 500)
    assert 8 not in [entry["steps"] for entry in tiny["best_solvers"]]
    assert len(tiny["best_solvers"]) == 31
    assert {len(other["best_solvers"]) for other in others} == {31, 32}


def test_however_many_wait_for_one_model_all_else_is_answered(
    start_server, tmp_path, monkeypatch
) -> None:
    write_tiny_model(tmp_path / "models")
    write_tiny_model(tmp_path / "models", "slow")
    reached, opened = threading.Event(), threading.Event()

    def load_slowly(*arguments) -> LoadedModel:
        reached.set()
        assert opened.wait(20)
        return load_checked_model(*arguments)

    with (
        start_server(home=tmp_path) as live,
        ThreadPoolExecutor(2 * THREADS_OF_ALL_ROUTES) as crowd,
    ):
        monkeypatch.setattr("service.residency.load_checked_model", load_slowly)
        address = f"{live.url}/models/slow/residency"
        waiting = [
            crowd.submit(httpx.put, address, timeout=60) for _ in range(2 * THREADS_OF_ALL_ROUTES)
        ]
        assert reached.wait(20)
        try:
            for path in ("models", "solvers", "metrics"):
                assert httpx.get(f"{live.url}/{path}").status_code == 200
        finally:
            opened.set()
        assert {answer.result().status_code for answer in waiting} == {200}
