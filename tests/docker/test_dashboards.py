"""Every panel shows something: its query is asked of a Prometheus that scrapes a busy server."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.servers.prometheus import Prometheus, find_program, running_prometheus

from .busy import busy_server
from .panels import Query, dashboards, queries

PATIENCE_S = 30.0  # rates need two scrapes, rules what they read, and the first traffic
QUERIES = list(queries())


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        busy_server(tmp_path_factory.mktemp("home")) as live,
        running_prometheus(folder, urlsplit(live.url).netloc) as server,
    ):
        yield server


@pytest.mark.parametrize("query", QUERIES, ids=[query.place for query in QUERIES])
def test_each_query_shows_something(query: Query, prometheus: Prometheus) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not (shown := _finite(prometheus, query)):
        assert time.monotonic() < give_up_at, f"{query.expression}: nothing to show"
        time.sleep(0.5)
    for labels in shown:
        assert query.labels <= labels.keys(), "the legend names what the series have"


def _finite(prometheus: Prometheus, query: Query) -> list[dict[str, str]]:
    """The labels of the series that have a number now."""
    series = prometheus.query(query.expression)
    return [one["metric"] for one in series if one["value"][1] not in ("NaN", "+Inf", "-Inf")]


# What two replicas told every ten seconds.
REPLICAS = {
    'fewstep_engine_step_duration_seconds_sum{instance="a", model="m"}': "0+5x20",
    'fewstep_engine_step_duration_seconds_sum{instance="b", model="m"}': "0+4x20",
    'fewstep_engine_decode_seconds_total{instance="a", model="m"}': "0+2x20",
    'fewstep_engine_decode_seconds_total{instance="b", model="m"}': "0+3x20",
    'fewstep_fid_proxy_seconds_total{instance="a", work="canary"}': "0+1x20",
    'fewstep_fid_proxy_seconds_total{instance="b", work="canary"}': "0+2x20",
    'fewstep_fid_proxy_samples{instance="a", model="m"}': "200x20",
    'fewstep_fid_proxy_samples{instance="b", model="m"}': "150x20",
}
WATCH = {'{instance="a", work="canary"}': 0.1, '{instance="b", work="canary"}': 0.2}
# By panel, what each of its queries says of them.
TOLD = {
    "service, Engine time": [
        {'{instance="a"}': 0.5, '{instance="b"}': 0.4},
        {'{instance="a"}': 0.2, '{instance="b"}': 0.3},
        WATCH,
    ],
    "quality, What the watch costs": [WATCH],
    "quality, Pictures in the window": [{'{model="m"}': 200}],
}


@pytest.mark.parametrize("place", TOLD)
def test_replicas_are_not_added_up(place: str, tmp_path: Path) -> None:
    asked = [query.expression for query in QUERIES if query.place == place]
    samples = [
        [{"labels": labels, "value": value} for labels, value in told.items()]
        for told in TOLD[place]
    ]
    case = {
        "interval": "10s",
        "input_series": [{"series": name, "values": told} for name, told in REPLICAS.items()],
        "promql_expr_test": [
            {"expr": f"round({expression}, 0.001)", "eval_time": "2m", "exp_samples": expected}
            for expression, expected in zip(asked, samples, strict=True)
        ],
    }
    file = tmp_path / "replicas.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "10s", "tests": [case]}))
    promtool = find_program("promtool")
    ended = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_can_be_provisioned(name: str) -> None:
    dashboard = dashboards()[name]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert dashboard["uid"] == f"fewstep-{name}"
    for panel in dashboard["panels"]:
        assert panel["title"]
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}", "none is built in"
        if panel["type"] != "row":
            assert panel["description"], "what the figure means is said beside it"


@pytest.mark.parametrize("name", dashboards())
def test_panels_lie_beside_each_other(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboards()[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                assert other == panel["title"], "two panels in one place"


def test_all_variables_are_known() -> None:
    for query in QUERIES:
        assert not re.search(r"\$\w", query.expression), query
