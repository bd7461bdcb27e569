"""Every panel shows something: its query is asked of a Prometheus that scrapes a busy server."""

import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.servers.prometheus import Prometheus, running_prometheus

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
