"""What a running search has found so far: /search-jobs/{id}/candidate and /sample."""

import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.png import PictureUnreadable, read_provenance
from tests.service.live import Live, assert_problem
from tests.service.searches import Worker, end, euler, post


@pytest.fixture
def running(http: httpx.Client, server: Live) -> Any:
    """The id of a search whose worker has told of its descent."""
    worker = Worker(server.services)
    job = post(http, steps=3, guidance_scale=2.0)
    worker.report(worker.claim(job.id), 0.5, loss=0.25)
    yield job.id
    end(http, job.id)


def pixels(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_the_candidate_is_the_table_as_it_stands(http: httpx.Client, running: str) -> None:
    response = http.get(f"/search-jobs/{running}/candidate")
    assert response.headers["cache-control"] == "no-store"
    candidate = response.json()
    assert candidate["steps"] == 3
    assert candidate["loss"] == 0.25
    assert candidate["digest"] == euler(3).digest
    assert candidate["table"] == euler(3).as_dict()


def test_a_sample_is_what_the_published_table_would_draw(http: httpx.Client, running: str) -> None:
    query = {"class_id": 2, "seed": 7}
    sample = http.get(f"/search-jobs/{running}/sample", params=query)
    assert sample.headers["content-type"] == "image/png"
    assert sample.headers["x-solver-digest"] == euler(3).digest
    order = {**query, "steps": 3, "guidance_scale": 2.0, "solver": "euler"}
    published = http.post("/generate", json=order, headers={"Accept": "image/png"})
    difference = pixels(sample.content).astype(int) - pixels(published.content)
    assert abs(difference).max() <= 1
    with pytest.raises(PictureUnreadable):  # nothing makes it again once the search is further
        read_provenance(sample.content)


def test_a_search_that_waits_or_has_ended_has_no_candidate(http: httpx.Client) -> None:
    job = post(http, steps=3)
    for route in ("candidate", "sample"):
        assert_problem(http.get(f"/search-jobs/{job.id}/{route}"), 404)
        assert_problem(http.get(f"/search-jobs/none/{route}"), 404)
    end(http, job.id)
    assert_problem(http.get(f"/search-jobs/{job.id}/candidate"), 404)


@pytest.mark.parametrize("query", [{"class_id": 4}, {"class_id": -1}, {"seed": 2**53}])
def test_samples_of_what_there_is_not_are_refused(
    http: httpx.Client, running: str, query: dict[str, int]
) -> None:
    problem = assert_problem(http.get(f"/search-jobs/{running}/sample", params=query), 422)
    assert problem["errors"][0]["field"] == next(iter(query))


def test_neither_events_nor_lists_carry_the_table(http: httpx.Client, running: str) -> None:
    """Of a long search there are thousands of events."""
    for path in ("/search-jobs", f"/search-jobs/{running}"):
        assert "candidate" not in http.get(path).text
    with http.stream("GET", f"/search-jobs/{running}/events") as events:
        lines = events.iter_lines()
        assert next(line for line in lines if line == "event: progress")
        assert "candidate" not in next(lines)
