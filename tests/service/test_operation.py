"""/livez, /readyz, /metrics and API keys: for those who look after the server."""

import time
from collections.abc import Sequence

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.engine.lanes import LaneBank
from service.engine.requests import Pixels
from tests.service.conftest import StartServer
from tests.service.live import Live, assert_problem

METRICS = {
    "fewstep_requests",
    "fewstep_request_duration_seconds",
    "fewstep_queue_wait_seconds",
    "fewstep_engine_step_duration_seconds",
    "fewstep_engine_batch_rows",
    "fewstep_engine_decode_seconds",
    "fewstep_network_evaluations",
    "fewstep_engine_queue_rows",
    "fewstep_engine_lanes",
    "fewstep_engine_row_limit",
    "fewstep_engine_oldest_wait_seconds",
    "fewstep_ready",
    "fewstep_champion_version",
    "fewstep_fid_proxy",
    "fewstep_fid_proxy_failures",
    "fewstep_fid_proxy_margin",
    "fewstep_fid_proxy_minimum",
    "fewstep_fid_proxy_samples",
    "fewstep_search_duration_seconds",
    "fewstep_search_jobs",
    "fewstep_search_loss",
}


def test_the_metrics_of_the_design_are_exposed(http: httpx.Client) -> None:
    http.post("/generate", json={"class_id": 0, "steps": 3})
    response = http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name for family in text_string_to_metric_families(response.text)}
    assert families >= METRICS


def test_the_metrics_count_steps_rows_and_evaluations(http: httpx.Client, server: Live) -> None:
    names = (
        'fewstep_engine_step_duration_seconds_count{model="tiny"}',
        'fewstep_engine_batch_rows_sum{model="tiny"}',
        'fewstep_network_evaluations_total{model="tiny"}',
        'fewstep_images_total{model="tiny"}',
        'fewstep_queue_wait_seconds_count{model="tiny"}',
    )
    before = [server.metric(name) for name in names]
    http.post("/generate", json={"class_id": 0, "steps": 3, "guidance_scale": 2.0})
    after = [server.metric(name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 6, 3, 1, 1]


def test_the_time_that_decoding_takes_is_counted(
    http: httpx.Client, server: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = 'fewstep_engine_decode_seconds_total{model="tiny"}'
    finish = LaneBank.finish

    def finish_slowly(bank: LaneBank, slots: Sequence[int]) -> list[Pixels | None]:
        time.sleep(0.05)
        return finish(bank, slots)

    monkeypatch.setattr(LaneBank, "finish", finish_slowly)
    before = server.metric(name)
    http.post("/generate", json={"class_id": 0, "steps": 1})
    assert 0.05 <= server.metric(name) - before < 1


def test_label_values_are_bounded(http: httpx.Client, server: Live) -> None:
    for steps in (33, 34, 256):
        http.post("/generate", json={"class_id": 0, "steps": steps, "seed": 123456789})
    http.post("/generate", json={"class_id": 0, "steps": 1, "model": "made-up"})
    text = server.services.metrics.exposition().decode()
    assert 'steps="33+"' in text
    for unbounded in ("made-up", "123456789", 'steps="256"'):
        assert unbounded not in text


@pytest.mark.parametrize("path", ["/", "/docs", "/livez", "/readyz", "/metrics"])
def test_head_answers_as_get_does_without_a_body(http: httpx.Client, path: str) -> None:
    got, asked = http.get(path), http.head(path)
    assert asked.status_code == got.status_code == 200
    assert asked.content == b""
    assert asked.headers["content-type"] == got.headers["content-type"]
    refused = http.put(path)
    assert_problem(refused, 405)
    assert refused.headers["allow"] == "GET, HEAD"


def test_without_keys_nothing_is_asked(http: httpx.Client) -> None:
    assert http.get("/models", headers={"Authorization": "Bearer wrong"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer second"},
        {"authorization": "bearer  first"},
        {"X-API-Key": "first"},
    ],
)
def test_with_keys_every_route_but_the_probes_and_the_page_asks_for_one(
    start_server: StartServer, headers: dict[str, str]
) -> None:
    with start_server(api_keys="first, second") as live, httpx.Client(base_url=live.url) as http:
        for path in ("/livez", "/readyz", "/metrics", "/", "/docs"):
            assert http.get(path).status_code == 200
        for path in ("/models", "/solvers", "/openapi.json", "/nonesuch"):
            assert_problem(http.get(path), 401)
            assert http.get(path, headers=headers).status_code != 401
        refused = http.post("/generate", json={"class_id": 0, "steps": 1})
        assert_problem(refused, 401)
        assert refused.headers["www-authenticate"] == "Bearer"
        for wrong in ({"X-API-Key": "firs"}, {"Authorization": "Basic first"}, {"X-API-Key": "é"}):
            encoded = {name: value.encode() for name, value in wrong.items()}
            assert_problem(http.get("/models", headers=encoded), 401)
