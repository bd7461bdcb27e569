"""/search-jobs: searches are taken in, told of, and ended."""

import json
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from search_jobs.spec import JobState
from service.answers import SearchJobAnswer, SearchJobsAnswer
from service.searching.gauges import SearchGauges
from solver_store.errors import StoreUnavailable
from solver_store.records import CHAMPION
from tests.service.live import Live, assert_problem, wait_until
from tests.service.searches import Worker, end, post

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def worker(server: Live) -> Worker:
    return Worker(server.services)


def test_a_search_is_accepted_with_every_default_filled_in(http: httpx.Client) -> None:
    response = http.post("/search-jobs", json={"steps": [8, 5]})
    assert response.status_code == 202
    job = SearchJobAnswer.model_validate_json(response.content, extra="forbid")
    assert response.headers["location"] == f"/search-jobs/{job.id}"
    assert http.get(response.headers["location"]).json() == response.json()
    assert job.state is JobState.QUEUED
    assert job.results == []
    assert job.progress.fraction == 0
    assert job.spec.model_dump(mode="json") == {
        "model": "tiny",
        "steps": [8, 5],
        "guidance_scale": 1.5,  # the card's
        "method": "dss-plus",
        "objective": "endpoint",  # the model ships no critic for another
        "budget": 120_000,
        "seed": 0,
        "promote": "if_better",
    }


def test_one_step_count_is_a_list_of_one(http: httpx.Client) -> None:
    assert post(http, steps=64).spec.steps == [64]


def test_the_paper_s_method_has_its_own_defaults(http: httpx.Client) -> None:
    spec = post(http, method="dss").spec
    assert (spec.objective, spec.budget) == ("endpoint", 480_000)


def test_what_is_said_is_kept(http: httpx.Client) -> None:
    said = {
        "model": "tiny",
        "steps": [3],
        "guidance_scale": 2.0,
        "method": "dss",
        "objective": "endpoint",
        "budget": 1000,
        "seed": 7,
        "promote": "never",
    }
    assert post(http, **said).spec.model_dump(mode="json") == said


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"steps": 0}, 422, "steps"),
        ({"steps": 65}, 422, "steps"),
        ({"steps": True}, 422, "steps"),
        ({"steps": "5"}, 422, "steps"),
        ({"steps": None}, 422, "steps"),
        ({"steps": []}, 422, "steps"),
        ({"steps": [5, 6, 5]}, 422, "steps"),
        ({"steps": [5, 0]}, 422, "steps.1"),
        ({"steps": list(range(1000))}, 422, "steps"),
        ({"budget": 0}, 422, "budget"),
        ({"budget": -120_000}, 422, "budget"),
        ({"budget": 10**18}, 422, "budget"),
        ({"budget": 1e18}, 422, "budget"),
        ({"method": "gradient-descent"}, 422, "method"),
        ({"objective": "beauty"}, 422, "objective"),
        ({"objective": "mixture"}, 422, "objective"),  # for which this model ships no critic
        ({"objective": "distribution", "method": "dss"}, 422, "objective"),
        ({"promote": True}, 422, "promote"),
        ({"seed": -1}, 422, "seed"),
        ({"seed": 2**31}, 422, "seed"),
        ({"guidance_scale": float("nan")}, 422, "guidance_scale"),
        ({"guidance_scale": 51}, 422, "guidance_scale"),
        ({"model": "nonesuch"}, 404, "model"),
        ({"model": "../tiny"}, 422, "model"),
        ({"priority": 1}, 422, "priority"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_field_that_breaks_a_rule_is_named(
    http: httpx.Client, change: dict[str, object], status: int, field: str
) -> None:
    before = http.get("/search-jobs").json()
    body = json.dumps({"steps": 5} | change)
    problem = assert_problem(http.post("/search-jobs", content=body, headers=JSON), status)
    (error,) = problem["errors"]
    assert error["field"] == field
    assert error["rule"]
    if not isinstance(value := change[field.partition(".")[0]], list | float):
        assert error["value"] == (str(value) if value == 10**18 else value)
    assert http.get("/search-jobs").json() == before


def test_the_same_key_starts_one_search(http: httpx.Client) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (http.post("/search-jobs", json={"steps": 5}, headers=key) for _ in range(2))
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    spelt_out = {"steps": [5], "model": "tiny", "guidance_scale": 1.5}
    same = http.post("/search-jobs", json=spelt_out, headers=key)
    assert same.json()["id"] == first.json()["id"]


def test_a_key_that_came_with_another_search_is_refused(http: httpx.Client) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    http.post("/search-jobs", json={"steps": 5}, headers=key)
    problem = assert_problem(http.post("/search-jobs", json={"steps": 6}, headers=key), 409)
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    assert problem["type"] == "urn:fewstep:problem:key-reused"


@pytest.mark.parametrize("key", ["", "two words", "x" * 201, "\xe9"])
def test_a_key_that_is_none_is_refused(http: httpx.Client, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    problem = assert_problem(http.post("/search-jobs", json={"steps": 5}, headers=headers), 422)
    assert problem["errors"][0]["field"] == "Idempotency-Key"


def test_searches_are_listed_newest_first_and_by_state(http: httpx.Client) -> None:
    ids = [post(http).id for _ in range(3)]
    end(http, ids[1])

    def listed(query: str) -> list[str]:
        answer = http.get(f"/search-jobs?{query}").content
        jobs = SearchJobsAnswer.model_validate_json(answer, extra="forbid").search_jobs
        return [job.id for job in jobs]

    assert listed("")[:3] == ids[::-1]
    assert listed("limit=2") == ids[:0:-1]
    assert [job for job in listed("state=queued") if job in ids] == [ids[2], ids[0]]
    assert [job for job in listed("state=cancelled") if job in ids] == [ids[1]]
    for query in ("state=lost", "limit=0", "limit=1e9"):
        field = query.partition("=")[0]
        problem = assert_problem(http.get(f"/search-jobs?{query}"), 422)
        assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("method", "action"),
    [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/stop")],
)
def test_an_unknown_job_is_not_found(http: httpx.Client, method: str, action: str) -> None:
    problem = assert_problem(http.request(method, f"/search-jobs/nonesuch{action}"), 404)
    assert problem["errors"][0]["field"] == "job_id"
    assert problem["errors"][0]["value"] == "nonesuch"
    assert_problem(http.request(method, f"/search-jobs/no%20id{action}"), 422)


def test_a_job_that_waits_is_cancelled_at_once(http: httpx.Client) -> None:
    for how in ("cancel", "stop"):
        job = end(http, post(http).id, how)
        assert job.state is JobState.CANCELLED
        assert job.finished_at is not None


def test_a_job_that_has_ended_cannot_be_cancelled_or_stopped(http: httpx.Client) -> None:
    job_id = post(http).id
    end(http, job_id)
    for how in ("cancel", "stop"):
        problem = assert_problem(http.post(f"/search-jobs/{job_id}/{how}"), 409)
        assert problem["type"] == "urn:fewstep:problem:job-finished"


def test_a_running_job_is_asked_to_stop_and_keeps_what_it_has(
    http: httpx.Client, worker: Worker
) -> None:
    job_id = post(http, guidance_scale=3.25).id
    claim = worker.claim(job_id)
    assert end(http, job_id, "stop").state is JobState.RUNNING
    assert worker.jobs.stop_requested(claim)
    worker.publish(claim, 5)
    worker.jobs.finish(claim, JobState.SUCCEEDED)
    job = SearchJobAnswer.model_validate_json(http.get(f"/search-jobs/{job_id}").content)
    assert job.is_finished
    assert [result.solver.name for result in job.results] == ["tiny-g3.25-5"]


def test_a_finished_job_tells_its_results_with_their_evidence(
    http: httpx.Client, worker: Worker
) -> None:
    job_id = post(http, steps=[5, 6], guidance_scale=3.5).id
    claim = worker.claim(job_id)
    worker.report(claim, 0.5, loss=0.25)
    running = http.get(f"/search-jobs/{job_id}").json()
    assert running["state"] == "running"
    assert running["progress"]["loss"] == 0.25
    assert running["progress"]["eta_s"] == 50
    published = worker.publish(claim, 5)
    worker.jobs.finish(claim, JobState.FAILED, "the loss is NaN")
    response = http.get(f"/search-jobs/{job_id}")
    job = SearchJobAnswer.model_validate_json(response.content, extra="forbid")
    assert (job.state, job.error) == (JobState.FAILED, "the loss is NaN")
    (result,) = job.results
    assert result.solver.digest == published.solver.digest
    assert (result.steps, result.promoted) == (5, ["faithful"])
    assert result.decision == "Promoted: there was no faithful."
    assert result.evidence is not None
    assert result.evidence.metrics == {"endpoint_rmse": 0.125}


def test_what_a_search_finds_is_served_within_two_seconds(
    http: httpx.Client, worker: Worker
) -> None:
    body = {"class_id": 0, "steps": 9, "guidance_scale": 1.5}
    assert http.post("/generate", json=body).json()["solver"]["name"] == "flowdcn-b-256-9"
    claim = worker.claim(post(http, steps=9).id)
    found = worker.publish(claim, 9, CHAMPION)
    promoted_at = time.monotonic()
    wait_until(
        lambda: http.post("/generate", json=body).json()["solver"] == found.solver.model_dump()
    )
    assert time.monotonic() - promoted_at < 2
    evidence = http.get(f"/solvers/{found.solver.name}").json()["versions"][0]["evidence"]
    assert evidence[0]["metrics"] == {"endpoint_rmse": 0.125}


def test_a_database_that_is_away_is_told(
    http: httpx.Client, server: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("the database is locked")

    for method in ("submit", "jobs", "get", "cancel", "last_event"):
        monkeypatch.setattr(server.services.queue, method, away)
    assert_problem(http.post("/search-jobs", json={"steps": 5}), 503)
    for method, path in (("GET", ""), ("GET", "/x"), ("GET", "/x/events"), ("POST", "/x/cancel")):
        assert_problem(http.request(method, f"/search-jobs{path}"), 503)
    assert http.post("/generate", json={"class_id": 0, "steps": 1}).status_code == 200


@pytest.fixture
def running(http: httpx.Client) -> Iterator[str]:
    """A job that ends with the test."""
    job_id = post(http).id
    yield job_id
    if http.get(f"/search-jobs/{job_id}").json()["state"] in ("queued", "running"):
        end(http, job_id)


def test_searches_are_counted_and_their_losses_shown(
    http: httpx.Client, server: Live, worker: Worker, running: str
) -> None:
    queued = server.metric('fewstep_search_jobs{state="queued"}')
    assert queued >= 1
    claim = worker.claim(running)
    worker.report(claim, 0.5, loss=0.75)
    assert server.metric('fewstep_search_jobs{state="queued"}') == queued - 1
    assert server.metric('fewstep_search_jobs{state="running"}') >= 1
    assert server.metric('fewstep_search_loss{model="tiny",steps="5"}') == 0.75
    end(http, running)
    assert "fewstep_search_loss{" not in http.get("/metrics").text


def test_the_labels_of_losses_are_bounded(http: httpx.Client, server: Live, worker: Worker) -> None:
    job_ids = [post(http, steps=steps).id for steps in (40, 41)]
    for job_id in job_ids:
        worker.report(worker.claim(job_id), 0.5, loss=0.5)
    families = SearchGauges(server.services.queue, models=()).collect()
    samples = [sample for family in families for sample in family.samples]
    labels = [sample.labels for sample in samples if sample.name == "fewstep_search_loss"]
    assert labels == [{"model": "unknown", "steps": "33+"}]
    for job_id in job_ids:
        end(http, job_id)


def test_the_other_figures_are_there_without_the_database(
    http: httpx.Client, server: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StoreUnavailable("the database is locked")

    monkeypatch.setattr(server.services.queue, "counts", away)
    text = http.get("/metrics").text
    assert "fewstep_engine_lanes" in text
    assert "fewstep_search_jobs" not in text
