"""POST /generate: what comes back, and that it can be made again."""

import base64
import io
import logging

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from service.answers import GenerateAnswer
from service.log import REQUESTS
from service.png import read_provenance
from tests.service.live import Live, assert_problem, read_stream, wait_until

PNG = {"Accept": "image/png"}
EVENTS = {"Accept": "text/event-stream"}


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)))


def make(http: httpx.Client, **body: object) -> GenerateAnswer:
    response = http.post("/generate", json={"class_id": 1, "steps": 4, **body})
    assert response.status_code == 200, response.text
    return GenerateAnswer.model_validate_json(response.content, extra="forbid")


def test_the_answer_says_all_that_went_into_the_picture(http: httpx.Client) -> None:
    answer = make(http, solver="ab2", guidance_scale=2.5, seed=7)
    assert (answer.model, answer.class_id, answer.class_name) == ("tiny", 1, "b")
    assert (answer.solver.name, answer.solver.version) == ("ab2", None)
    assert (answer.steps, answer.guidance_scale) == (4, 2.5)
    assert [image.seed for image in answer.images] == [7]
    assert pixels(answer.images[0].png).shape == (8, 8, 3)
    assert answer.timing_ms.total >= answer.timing_ms.sampling > 0


def test_defaults_are_filled_in_and_told(http: httpx.Client) -> None:
    first, second = make(http), make(http)
    assert first.guidance_scale == 1.5  # the card's
    assert first.solver.name == "ab2"  # the card's: no family is published for four steps
    assert first.images[0].seed != second.images[0].seed


def test_auto_takes_the_published_family_where_it_has_the_step_count(http: httpx.Client) -> None:
    answer = make(http, steps=5)
    assert (answer.solver.name, answer.solver.version) == ("flowdcn-b-256-5", 1)


def test_image_i_has_seed_plus_i(http: httpx.Client) -> None:
    together = make(http, seed=40, num_images=3)
    assert [image.seed for image in together.images] == [40, 41, 42]
    for image in together.images:
        alone = make(http, seed=image.seed)
        difference = pixels(alone.images[0].png).astype(int) - pixels(image.png)
        assert abs(difference).max() <= 1


def test_a_png_says_in_its_headers_what_it_is(http: httpx.Client) -> None:
    body = {"class_id": 2, "steps": 5, "seed": 11, "solver": "flowdcn-b-256"}
    response = http.post("/generate", json=body, headers=PNG)
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-solver"] == "flowdcn-b-256-5/1"
    assert len(response.headers["x-solver-digest"]) == 64
    assert response.headers["x-seed"] == "11"
    assert "sampling;dur=" in response.headers["server-timing"]
    assert pixels(response.content).shape == (8, 8, 3)


@pytest.mark.parametrize("solver", ["flowdcn-b-256-5/1", "auto", "unipc-3"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_the_provenance_of_a_picture_makes_it_again(
    http: httpx.Client, solver: str, deterministic: bool
) -> None:
    asked = {"class_id": 3, "steps": 5, "solver": solver, "deterministic": deterministic}
    first = http.post("/generate", json=asked, headers=PNG).content
    provenance = read_provenance(first)
    again = http.post("/generate", json=provenance.request(), headers=PNG).content
    assert (pixels(again) == pixels(first)).all()
    assert read_provenance(again) == provenance


def test_other_channels_can_be_guided_and_the_provenance_says_so(http: httpx.Client) -> None:
    guided = {"guidance_scale": 4.0, "seed": 3, "solver": "euler"}
    usual, fewer = make(http, **guided), make(http, **guided, guided_channels=1)
    assert (usual.guided_channels, fewer.guided_channels) == (3, 1)
    assert usual.images[0].png != fewer.images[0].png
    provenance = read_provenance(fewer.images[0].png)
    again = http.post("/generate", json=provenance.request()).json()
    assert base64.b64decode(again["images"][0]["base64"]) == fewer.images[0].png


def test_more_channels_than_there_are_cannot_be_guided(http: httpx.Client) -> None:
    body = {"class_id": 0, "steps": 2, "guided_channels": 4}
    problem = assert_problem(http.post("/generate", json=body), 422)
    assert problem["errors"][0]["field"] == "guided_channels"
    assert "at most 3" in problem["errors"][0]["rule"]
    assert problem["title"] == "Field refused"


def test_the_provenance_names_a_stored_table_by_its_digest(http: httpx.Client) -> None:
    png = make(http, steps=5).images[0].png
    request = read_provenance(png).request()
    assert request["solver"].startswith("sha256:")


def test_a_stream_tells_every_step_in_order(http: httpx.Client) -> None:
    body = {"class_id": 0, "steps": 3, "num_images": 2, "seed": 5}
    response = http.post("/generate", json=body, headers=EVENTS)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = read_stream(response)
    names = [name for name, _ in events]
    assert names[0] == "queued"
    assert names[-1] == "done"
    assert sorted(names[1:-1]) == ["image"] * 2 + ["step"] * 6
    for index in range(2):
        mine = [(name, data) for name, data in events if data.get("index") == index]
        assert [data.get("step") for _, data in mine] == [1, 2, 3, None]
        assert mine[-1][0] == "image"
        assert mine[-1][1]["seed"] == 5 + index
    assert events[0][1]["solver"]["name"] == "ab2"
    assert events[-1][1]["num_images"] == 2
    assert events[-1][1]["num_lost"] == 0


def test_the_picture_of_a_stream_is_that_of_the_json_answer(http: httpx.Client) -> None:
    body = {"class_id": 0, "steps": 3, "seed": 5, "deterministic": True}
    events = read_stream(http.post("/generate", json=body, headers=EVENTS))
    image = next(data for name, data in events if name == "image")
    assert image["base64"] == make(http, **body).images[0].base64


@pytest.mark.parametrize("preview", [False, True])
def test_previews_come_only_where_they_are_asked_for(http: httpx.Client, preview: bool) -> None:
    body = {"class_id": 0, "steps": 2, "preview": preview}
    events = read_stream(http.post("/generate", json=body, headers=EVENTS))
    previews = [data["preview"] for name, data in events if name == "step"]
    assert len(previews) == 2
    if not preview:
        assert previews == [None, None]
        return
    for text in previews:
        assert pixels(base64.b64decode(text)).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("image/*", "image/png"),
        ("text/html, image/png;q=0.5, application/json;q=0.4", "image/png"),
    ],
)
def test_the_accept_header_decides(http: httpx.Client, accept: str | None, answered: str) -> None:
    request = http.build_request("POST", "/generate", json={"class_id": 0, "steps": 1})
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    assert http.send(request).headers["content-type"] == answered


def test_a_sane_request_id_is_kept_and_another_replaced(http: httpx.Client) -> None:
    body = {"class_id": 0, "steps": 1}
    sane = http.post("/generate", json=body, headers={"X-Request-ID": "night-run:42"})
    assert sane.headers["x-request-id"] == sane.json()["id"] == "night-run:42"
    for insane in ("", "a b", "x" * 200, "<script>"):
        answer = http.post("/generate", json=body, headers={"X-Request-ID": insane})
        assert len(answer.headers["x-request-id"]) == 32


def test_no_outcome_is_missing_before_it_happens(http: httpx.Client) -> None:
    told = http.get("/metrics").text
    for model in ("tiny", "unknown"):
        for outcome in ("ok", "cancelled", "invalid", "rejected", "timeout", "error"):
            assert f'fewstep_requests_total{{model="{model}",outcome="{outcome}"}}' in told


def test_requests_are_counted_by_how_they_end(http: httpx.Client, server: Live) -> None:
    def count(outcome: str, model: str) -> float:
        return server.metric(f'fewstep_requests_total{{model="{model}",outcome="{outcome}"}}')

    ok, invalid = count("ok", "tiny"), count("invalid", "unknown")
    duration = 'fewstep_request_duration_seconds_count{model="tiny",steps="33+"}'
    long_ones = server.metric(duration)
    http.post("/generate", json={"class_id": 0, "steps": 40})
    http.post("/generate", json={"class_id": 0, "steps": 0})
    assert count("ok", "tiny") == ok + 1
    assert count("invalid", "unknown") == invalid + 1
    assert server.metric(duration) == long_ones + 1


@pytest.mark.parametrize("model", [{}, {"model": "tiny"}])
def test_a_request_refused_for_its_solver_counts_for_its_model(
    http: httpx.Client, server: Live, caplog: pytest.LogCaptureFixture, model: dict[str, str]
) -> None:
    caplog.set_level(logging.INFO, logger=REQUESTS)
    invalid = 'fewstep_requests_total{model="tiny",outcome="invalid"}'
    before = server.metric(invalid)
    refused = http.post("/generate", json={"class_id": 0, "steps": 3, "solver": "nonesuch"} | model)
    assert_problem(refused, 404)
    wait_until(lambda: server.metric(invalid) == before + 1)
    told = [line for line in caplog.messages if refused.headers["x-request-id"] in line]
    assert " model=tiny steps=3" in told[-1]
