"""The Grafana dashboards, as Prometheus sees them: their queries, with the variables filled in."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).parents[2] / "docker" / "grafana" / "dashboards"
BUILT_IN = {"$__rate_interval": "20s"}


@dataclass(frozen=True)
class Query:
    place: str  # dashboard and panel
    expression: str
    labels: frozenset[str]  # that the legend shows


def dashboards() -> dict[str, dict[str, Any]]:
    """By the name of their file."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json"))}


def queries() -> Iterator[Query]:
    """Of all panels, annotations and variables."""
    for name, dashboard in dashboards().items():
        variables = dashboard["templating"]["list"]
        values = {f"${v['name']}": ".*" for v in variables if v["type"] == "query"} | BUILT_IN
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield _query(f"{name}, {panel['title']}", target, "legendFormat", values)
        for annotation in dashboard["annotations"]["list"]:
            yield _query(f"{name}, {annotation['name']}", annotation, "titleFormat", values)
        for variable in variables:
            if variable["type"] == "query":
                yield _query_of_variable(f"{name}, ${variable['name']}", variable)


def _query(place: str, source: dict[str, Any], legend: str, values: dict[str, str]) -> Query:
    expression = source["expr"]
    for variable, value in values.items():
        expression = expression.replace(variable, value)
    return Query(place, expression, frozenset(re.findall(r"{{(\w+)}}", source[legend])))


def _query_of_variable(place: str, variable: dict[str, Any]) -> Query:
    match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
    assert match, f"{place}: not label_values(series, label)"
    return Query(place, match[1], frozenset([match[2]]))
