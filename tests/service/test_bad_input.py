"""Bad input gets a problem document that names the field, the rule and the value, and changes
nothing."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.service.live import Live, assert_problem

GOOD = {"class_id": 1, "steps": 4}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def nothing_changes(server: Live) -> Iterator[None]:
    engine, store = server.services.engine, server.services.store
    before = engine.stats().steps, engine.stats().queued_rows, store.revision()
    yield
    assert (engine.stats().steps, engine.stats().queued_rows, store.revision()) == before


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"class_id": 36}, 422, "class_id"),
        ({"class_id": -1}, 422, "class_id"),
        ({"class_id": True}, 422, "class_id"),
        ({"class_id": "7"}, 422, "class_id"),
        ({"class_id": 1.0}, 422, "class_id"),
        ({"class_id": None}, 422, "class_id"),
        ({"class_id": 10**400}, 422, "class_id"),
        ({"steps": 0}, 422, "steps"),
        ({"steps": 10_000}, 422, "steps"),
        ({"steps": [4]}, 422, "steps"),
        ({"guidance_scale": float("nan")}, 422, "guidance_scale"),
        ({"guidance_scale": float("inf")}, 422, "guidance_scale"),
        ({"guidance_scale": 1e308}, 422, "guidance_scale"),
        ({"guidance_scale": -0.1}, 422, "guidance_scale"),
        ({"guidance_scale": True}, 422, "guidance_scale"),
        ({"guidance_scale": "2"}, 422, "guidance_scale"),
        ({"seed": -1}, 422, "seed"),
        ({"seed": 2**53}, 422, "seed"),
        ({"seed": 2**53 - 1, "num_images": 2}, 422, "num_images"),
        ({"num_images": 0}, 422, "num_images"),
        ({"num_images": 65}, 422, "num_images"),
        ({"deadline_ms": 0}, 422, "deadline_ms"),
        ({"deterministic": 1}, 422, "deterministic"),
        ({"image_format": "bmp"}, 422, "image_format"),
        ({"model": "nonesuch"}, 404, "model"),
        ({"model": "../../etc/passwd"}, 422, "model"),
        ({"solver": "nonesuch"}, 404, "solver"),
        ({"solver": "nonesuch@champion"}, 404, "solver"),
        ({"solver": "flowdcn-b-256-5/2"}, 404, "solver"),
        ({"solver": "sha256:" + "0" * 64}, 404, "solver"),
        ({"solver": "sha256:xyz"}, 422, "solver"),
        ({"solver": "No Such"}, 422, "solver"),
        ({"solver": "\ud800"}, 422, "solver"),
        ({"solver": ""}, 422, "solver"),
        ({"solver": "x" * 100_000}, 422, "solver"),
        ({"solver": "flowdcn-b-256-5"}, 422, "solver"),  # takes five steps, not four
        ({"solver": "flowdcn-b-256"}, 422, "solver"),  # a family without a table of four
        ({"solver": "dit-xl-256-5", "steps": 5}, 422, "solver"),  # of another schedule
        ({"guidance": 2}, 422, "guidance"),
        ({"x" * 10_000: 1}, 422, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_field_that_breaks_a_rule_is_named(
    http: httpx.Client, change: dict[str, object], status: int, field: str | None
) -> None:
    response = http.post("/generate", content=json.dumps(GOOD | change), headers=JSON)
    problem = assert_problem(response, status)
    (error,) = problem["errors"]
    assert error["rule"]
    if field is not None:
        assert error["field"] == field
        assert field in problem["detail"] or error["rule"] in problem["detail"]


def test_a_missing_field_is_named(http: httpx.Client) -> None:
    problem = assert_problem(http.post("/generate", json={"class_id": 1}), 422)
    assert problem["errors"] == [{"field": "steps", "rule": "Field required", "value": None}]


def test_the_refused_value_is_told(http: httpx.Client) -> None:
    problem = assert_problem(http.post("/generate", json=GOOD | {"steps": 10_000}), 422)
    assert problem["errors"][0]["value"] == 10_000


@pytest.mark.parametrize(
    "body",
    [b"{", b"class_id=1&steps=4", b"\xff\xfe\x00", b"[" * 100_000, b'{"class_id": 1,}'],
    ids=["cut off", "a form", "no text", "endless brackets", "a comma too many"],
)
def test_a_body_that_is_not_json_is_unreadable(http: httpx.Client, body: bytes) -> None:
    assert_problem(http.post("/generate", content=body, headers=JSON), 400)


@pytest.mark.parametrize("body", [b"", b"null", b"7", b"[]", b'"x"'])
def test_a_body_that_is_no_object_is_refused(http: httpx.Client, body: bytes) -> None:
    assert_problem(http.post("/generate", content=body, headers=JSON), 422)


def test_a_body_of_10_mb_is_refused_by_its_length(http: httpx.Client) -> None:
    assert_problem(http.post("/generate", content=b" " * 10_000_000, headers=JSON), 413)


def test_a_body_of_10_mb_is_refused_without_a_length(http: httpx.Client) -> None:
    chunks = (b" " * 100_000 for _ in range(100))
    assert_problem(http.post("/generate", content=chunks, headers=JSON), 413)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_announced_as_json_is_refused(
    http: httpx.Client, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    response = http.post("/generate", content=json.dumps(GOOD), headers=headers)
    assert_problem(response, 415)


@pytest.mark.parametrize("accept", ["text/html", "image/jpeg", "application/json;q=0", "nonsense"])
def test_an_accept_header_that_cannot_be_served_is_refused(http: httpx.Client, accept: str) -> None:
    assert_problem(http.post("/generate", json=GOOD, headers={"Accept": accept}), 406)


def test_two_images_are_not_one_png(http: httpx.Client) -> None:
    response = http.post(
        "/generate", json=GOOD | {"num_images": 2}, headers={"Accept": "image/png"}
    )
    problem = assert_problem(response, 422)
    assert problem["errors"][0]["field"] == "num_images"
    assert problem["errors"][0]["value"] == 2


def test_an_unknown_route_and_a_wrong_method_are_problems(http: httpx.Client) -> None:
    assert_problem(http.get("/nonesuch"), 404)
    response = http.put("/generate", json=GOOD)
    assert_problem(response, 405)
    assert response.headers["allow"] == "POST"
    response = http.delete("/solvers")
    assert_problem(response, 405)
    assert response.headers["allow"] == "GET, POST"


def test_many_wrong_fields_make_a_short_problem(http: httpx.Client) -> None:
    body = GOOD | {f"field-{n}": n for n in range(10_000)}
    problem = assert_problem(http.post("/generate", json=body), 422)
    assert len(problem["errors"]) == 20
