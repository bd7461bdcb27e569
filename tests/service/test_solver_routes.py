"""/solvers: tables come in, versions stay, aliases move."""

import json
import uuid

import httpx
import pytest

from service.answers import (
    AliasMoveAnswer,
    SolverAnswer,
    SolversAnswer,
    SolverVersionAnswer,
)
from solver_store.published import published_tables
from solver_store.records import Evidence
from solver_store.table import SolverTable
from tests.service.live import Live, assert_problem

EULER_2 = {
    "schedule": "rectified-flow",
    "prediction": "velocity",
    "node_times": [0.0, 0.5],
    "times": [0.0, 0.5, 1.0],
    "carry": [1.0, 1.0],
    "weights": [[0.5], [0.0, 0.5]],
}


@pytest.fixture
def name() -> str:
    """A name that no other test uses: the store forgets nothing."""
    return f"test-{uuid.uuid4().hex}"


def other_table(own_weight: float) -> dict[str, object]:
    return EULER_2 | {"weights": [[0.5], [0.5 - own_weight, own_weight]]}


def publish(http: httpx.Client, name: str, table: dict[str, object]) -> SolverVersionAnswer:
    response = http.post("/solvers", json={"name": name, "table": table})
    assert response.status_code == 201, response.text
    return SolverVersionAnswer.model_validate_json(response.content, extra="forbid")


def test_an_imported_table_comes_back_with_its_digest(http: httpx.Client, name: str) -> None:
    body = {"name": name, "table": EULER_2, "note": "by hand"}
    response = http.post("/solvers", json=body)
    assert response.status_code == 201
    location = response.headers["location"]
    assert location == f"/solvers/{name}/versions/1"
    version = SolverVersionAnswer.model_validate_json(http.get(location).content, extra="forbid")
    assert response.json() == http.get(location).json()
    assert version.table.model_dump() == EULER_2
    assert version.digest == SolverTable.from_dict(EULER_2).digest
    assert version.source == {"kind": "import", "note": "by hand"}


def test_the_same_table_under_the_same_name_is_kept_once(http: httpx.Client, name: str) -> None:
    publish(http, name, EULER_2)
    again = http.post("/solvers", json={"name": name, "table": EULER_2})
    assert again.status_code == 200
    assert again.json()["version"] == 1
    assert publish(http, name, other_table(0.7)).version == 2


def test_the_forms_of_the_paper_are_compiled(http: httpx.Client, name: str) -> None:
    for published in published_tables():
        if published.steps != 6:
            continue
        form = {
            "schedule": published.table.schedule,
            "time_deltas": published.time_deltas,
            "coefficients": published.coefficients,
        }
        body = {"name": f"{name}-{published.family}", "paper_form": form}
        response = http.post("/solvers", json=body)
        assert response.status_code == 201, response.text
        assert response.json()["digest"] == published.table.digest


def test_an_import_can_be_used_by_version_digest_and_after_promotion_by_name(
    http: httpx.Client, name: str
) -> None:
    version = publish(http, name, EULER_2)
    request = {"class_id": 0, "steps": 2, "seed": 1}
    assert_problem(http.post("/generate", json=request | {"solver": name}), 404)
    for reference in (f"{name}/1", f"sha256:{version.digest}"):
        answer = http.post("/generate", json=request | {"solver": reference})
        assert answer.json()["solver"]["digest"] == version.digest
    http.put(f"/solvers/{name}/aliases/champion", json={"version": 1, "expected": None})
    answer = http.post("/generate", json=request | {"solver": name})
    assert answer.json()["solver"] == {"name": name, "version": 1, "digest": version.digest}


def test_auto_follows_a_champion_made_for_the_model_until_it_is_rolled_back(
    http: httpx.Client, name: str
) -> None:
    target = {"model": "tiny", "guidance_scale": 1.5}
    http.post("/solvers", json={"name": name, "table": EULER_2, "target": target})
    http.post("/solvers", json={"name": name, "table": other_table(0.7)})

    def used() -> tuple[str, int | None]:
        solver = http.post("/generate", json={"class_id": 0, "steps": 2}).json()["solver"]
        return solver["name"], solver["version"]

    alias = f"/solvers/{name}/aliases/champion"
    assert used() == ("ab2", None)
    assert http.put(alias, json={"version": 2, "expected": None}).status_code == 200
    assert used() == (name, 2)
    assert http.put(alias, json={"version": 1, "expected": 2}).status_code == 200
    assert used() == (name, 1)
    best = {
        entry["steps"]: entry["solver"] for entry in http.get("/models/tiny").json()["best_solvers"]
    }
    assert best[2]["name"] == name
    assert best[5]["name"] == "flowdcn-b-256-5"


def test_a_promotion_that_comes_too_late_is_told_where_the_alias_stands(
    http: httpx.Client, name: str
) -> None:
    publish(http, name, EULER_2)
    publish(http, name, other_table(0.7))
    alias = f"/solvers/{name}/aliases/champion"
    first = http.put(alias, json={"version": 2, "expected": None, "note": "better"})
    move = AliasMoveAnswer.model_validate_json(first.content, extra="forbid")
    assert (move.from_version, move.version, move.note) == (None, 2, "better")
    late = assert_problem(http.put(alias, json={"version": 1, "expected": None}), 409)
    assert late["current_version"] == 2
    assert_problem(http.put(alias, json={"version": 3, "expected": 2}), 404)


def test_a_name_shows_its_versions_and_every_move(http: httpx.Client, name: str) -> None:
    publish(http, name, EULER_2)
    publish(http, name, other_table(0.7))
    alias = f"/solvers/{name}/aliases/champion"
    http.put(alias, json={"version": 2, "expected": None})
    http.put(alias, json={"version": 1, "expected": 2})
    response = http.get(f"/solvers/{name}")
    shown = SolverAnswer.model_validate_json(response.content, extra="forbid")
    assert [version.version for version in shown.versions] == [1, 2]
    assert [(move.from_version, move.version) for move in shown.moves] == [(None, 2), (2, 1)]
    assert shown.aliases == {"champion": 1}
    assert (shown.kind, shown.steps, shown.num_versions) == ("stored", 2, 2)


def test_evidence_is_shown_with_its_version(http: httpx.Client, server: Live, name: str) -> None:
    publish(http, name, EULER_2)
    evidence = Evidence("tiny", "0" * 64, 2, 1.5, {"frechet_distance": 12.5}, {"samples": 720})
    server.services.store.add_evidence(name, 1, [evidence])
    (shown,) = http.get(f"/solvers/{name}/versions/1").json()["evidence"]
    assert shown["metrics"] == {"frechet_distance": 12.5}
    assert (shown["model"], shown["steps"], shown["guidance_scale"]) == ("tiny", 2, 1.5)
    assert http.get(f"/solvers/{name}").json()["versions"][0]["evidence"] == [shown]


def test_a_list_can_be_narrowed_to_a_model_and_a_step_count(http: httpx.Client) -> None:
    response = http.get("/solvers", params={"model": "tiny", "steps": 15})
    entries = SolversAnswer.model_validate_json(response.content, extra="forbid").solvers
    assert [entry.name for entry in entries if entry.kind == "stored"] == ["flowdcn-b-256-15"]
    assert "unipc-3" in [entry.name for entry in entries if entry.kind == "classical"]
    everything = http.get("/solvers").json()["solvers"]
    assert {"dit-xl-256-5", "sit-xl-256-10"} <= {entry["name"] for entry in everything}
    assert_problem(http.get("/solvers", params={"model": "nonesuch"}), 404)
    assert_problem(http.get("/solvers", params={"steps": "0"}), 422)


def test_a_classical_solver_is_shown_without_versions(http: httpx.Client) -> None:
    shown = SolverAnswer.model_validate_json(http.get("/solvers/unipc-3").content, extra="forbid")
    assert (shown.kind, shown.versions, shown.steps) == ("classical", [], None)
    assert_problem(http.get("/solvers/unipc-3/versions/1"), 404)


@pytest.mark.parametrize(
    ("change", "status", "field", "rule"),
    [
        ({"table": EULER_2 | {"times": [0.0, 0.5, 0.4]}}, 422, "table", "must rise or rest"),
        ({"table": EULER_2 | {"carry": [1.0]}}, 422, "table", "carry must hold"),
        ({"table": EULER_2 | {"weights": [[0.5, 1], [0.5]]}}, 422, "table", "weights[0]"),
        ({"table": EULER_2 | {"times": [0.0, 0.5, 1.5]}}, 422, "table", "times[2] must lie in"),
        ({"table": EULER_2 | {"schedule": "cosine"}}, 422, "table.schedule", "rectified-flow"),
        ({"table": EULER_2 | {"extra": 1}}, 422, "table.extra", "not permitted"),
        ({"table": EULER_2 | {"carry": [1, float("nan")]}}, 422, "table.carry.1", "finite"),
        ({"table": EULER_2 | {"carry": [1, 10**400]}}, 422, "table.carry.1", ""),
        ({"table": EULER_2 | {"carry": [1, True]}}, 422, "table.carry.1", "number"),
        ({"table": EULER_2 | {"weights": [[1e308], [1]]}}, 422, "table", "weights[0][0] must lie"),
        ({"table": None}, 422, "body", "exactly one"),
        ({"paper_form": None}, 422, "body", "exactly one"),
        ({"name": "euler"}, 422, "name", "is taken"),
        ({"name": "auto"}, 422, "name", "is taken"),
        ({"name": "No Such"}, 422, "name", "pattern"),
        ({"name": "flowdcn-b-256-5"}, 409, "name", "holds tables of 5 steps"),
        ({"note": "x" * 2001}, 422, "note", "2000"),
        ({"target": {"model": "tiny"}}, 422, "target.guidance_scale", "required"),
        (
            {"paper_form": {"schedule": "vp", "time_deltas": [1.0, 0.5],
             "coefficients": [[]]}},
            422, "paper_form.coefficients", "one row for each",
        ),
        (
            {"paper_form": {"schedule": "rectified-flow",
             "time_deltas": [0.9, 0.9, 0.1], "coefficients": [[], [0.0], [0.0, 0.0]]}},
            422, "paper_form", "times[2]",
        ),
        (
            {"paper_form": {"schedule": "rectified-flow",
             "time_deltas": [0.5, 0.5], "coefficients": [[], [1e308, 1]]}},
            422, "paper_form.coefficients", "row 1 must hold 1",
        ),
        (
            {"paper_form": {"schedule": "rectified-flow",
             "time_deltas": [0.5, 0.5], "coefficients": [[], [1e308]]}},
            422, "paper_form", "weights[1][0] must lie within",
        ),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_table_that_breaks_a_rule_is_refused_with_the_rule(
    http: httpx.Client,
    server: Live,
    name: str,
    change: dict[str, object],
    status: int,
    field: str,
    rule: str,
) -> None:
    before = server.services.store.revision()
    body = {"name": name, "table": EULER_2} | change
    if "paper_form" in body:
        del body["table"]
    content = json.dumps(body)
    response = http.post("/solvers", content=content, headers={"Content-Type": "application/json"})
    problem = assert_problem(response, status)
    assert problem["errors"][0]["field"] == field
    assert rule in problem["errors"][0]["rule"]
    assert server.services.store.revision() == before


@pytest.mark.parametrize(
    "path",
    ["/solvers/nonesuch", "/solvers/nonesuch/versions/1", "/solvers/flowdcn-b-256-5/versions/2"],
)
def test_what_is_not_there_is_not_found(http: httpx.Client, path: str) -> None:
    assert_problem(http.get(path), 404)


@pytest.mark.parametrize("path", ["/solvers/A", "/solvers/x/versions/0", "/solvers/x/versions/x"])
def test_a_path_that_names_nothing_is_refused(http: httpx.Client, path: str) -> None:
    assert_problem(http.get(path), 422)
