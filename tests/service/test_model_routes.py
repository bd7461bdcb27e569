"""/models: what is loaded, and what `auto` would take."""

import httpx

from service.answers import ModelAnswer, ModelsAnswer
from tests.service.live import Live, assert_problem


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
