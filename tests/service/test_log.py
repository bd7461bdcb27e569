"""Every request leaves one line, with its id; and its time on the answer."""

import io
import json
import logging
import re

import httpx
import pytest

from service.log import FIELDS, REQUESTS, JsonLines, log_request
from tests.service.live import assert_problem

TIMING = re.compile(r"(\w+;dur=[0-9.e-]+)(, \w+;dur=[0-9.e-]+)*")


def of_request(caplog: pytest.LogCaptureFixture, request_id: str) -> logging.LogRecord:
    [line] = [line for line in caplog.records if getattr(line, FIELDS, {}).get("id") == request_id]
    return line


def test_a_request_leaves_one_line_with_what_became_of_it(
    http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=REQUESTS)
    body = {"class_id": 1, "steps": 3, "solver": "ab2"}
    http.post("/generate", json=body, headers={"X-Request-ID": "mine-1"})
    http.get("/livez")  # comes after the line of the one before, as both use one connection
    line = of_request(caplog, "mine-1")
    fields = getattr(line, FIELDS)
    assert fields.pop("ms") > 0
    assert fields == {
        "id": "mine-1",
        "method": "POST",
        "path": "/generate",
        "status": 200,
        "model": "tiny",
        "steps": 3,
        "solver": "ab2",
    }
    assert line.levelno == logging.INFO
    assert "id=mine-1 method=POST path=/generate status=200 ms=" in line.getMessage()


def test_probes_are_told_at_level_debug(
    http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger=REQUESTS)
    http.get("/livez", headers={"X-Request-ID": "probe-1"})
    http.get("/livez")
    assert of_request(caplog, "probe-1").levelno == logging.DEBUG


def test_nobody_can_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=REQUESTS)
    log_request({"path": '/a b="c"\nid=other'}, is_probe=False)
    assert caplog.messages == ['path="/a b=\\"c\\"\\nid=other"']


def test_a_json_line_is_one_object_with_the_fields_and_the_exception() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("tests.json-lines")
    logger.addHandler(handler)
    try:
        logger.warning("it is %s", "so\nlate", extra={FIELDS: {"steps": 4}})
        try:
            raise ValueError("why")
        except ValueError:
            logger.exception("it failed")
    finally:
        logger.removeHandler(handler)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "WARNING",
        "logger": "tests.json-lines",
        "message": "it is so\nlate",
        "steps": 4,
    }
    assert second["exception"].endswith("ValueError: why")


@pytest.mark.parametrize("accept", ["application/json", "image/png", "text/event-stream"])
def test_every_answer_tells_its_time(http: httpx.Client, accept: str) -> None:
    body = {"class_id": 0, "steps": 2}
    answers = [
        http.post("/generate", json=body, headers={"Accept": accept}),
        http.get("/models"),
        http.get("/nonesuch"),
        http.post("/generate", json={}),
    ]
    for answer in answers:
        timing = answer.headers["server-timing"]
        assert TIMING.fullmatch(timing)
        assert "total;dur=" in timing


def test_the_parts_of_a_picture_are_in_the_json_and_the_header(http: httpx.Client) -> None:
    answer = http.post("/generate", json={"class_id": 0, "steps": 2})
    told = answer.json()["timing_ms"]
    for part in ("queue", "sampling", "decode"):
        assert f"{part};dur={told[part]}" in answer.headers["server-timing"]


def test_a_problem_names_its_request(http: httpx.Client) -> None:
    refused = http.post("/generate", json={}, headers={"X-Request-ID": "mine-2"})
    assert assert_problem(refused, 422)["request_id"] == "mine-2"
    unknown = http.get("/nonesuch")
    assert assert_problem(unknown, 404)["request_id"] == unknown.headers["x-request-id"]
