"""Records are checked when they are made."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver_store.errors import InvalidReference, RecordError, TableError
from solver_store.records import SolverVersion, Target, json_object
from solver_store.table import SolverTable
from tests.solver_store.builders import SOURCE, euler, evidence

text = st.text(st.characters(codec="utf-8"), max_size=5)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50)
@given(st.dictionaries(text, json_values, max_size=3))
def test_a_json_object_is_kept_as_it_is(value: dict[str, Any]) -> None:
    assert json_object("source", value) == value


def test_a_json_object_is_a_copy() -> None:
    inner = [1, 2]
    copy = json_object("source", {"seeds": inner})
    inner.append(3)
    assert copy == {"seeds": [1, 2]}


def deep() -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(100_000):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"steps": 0}, "steps must be 1 to 256, got 0"),
        ({"steps": 257}, "steps must be 1 to 256"),
        ({"steps": True}, "steps must be 1 to 256, got True"),
        ({"steps": 2.0}, "steps must be 1 to 256"),
        ({"guidance_scale": float("nan")}, "guidance_scale must be finite"),
        ({"guidance_scale": -1.0}, r"guidance_scale must lie in \[0, 50\]"),
        ({"guidance_scale": True}, "guidance_scale must be a number"),
        ({"guidance_scale": "1"}, "guidance_scale must be a number"),
        ({"metrics": {"fid": float("inf")}}, r"metrics\['fid'\] must be finite"),
        ({"metrics": {"fid": False}}, r"metrics\['fid'\] must be a number"),
        ({"metrics": {"fid": None}}, r"metrics\['fid'\] must be a number"),
        ({"details": {"seeds": {1, 2}}}, "details must be JSON"),
        ({"details": deep()}, "details must be JSON"),
        ({"details": [1]}, "details must be a JSON object, got list"),
        ({"model_digest": "AB" * 32}, "model_digest must be 64"),
        ({"model_digest": "ab" * 31}, "model_digest must be 64"),
        ({"model": "x" * 101}, "model must have at most 100"),
        ({"model": "\0"}, "model must be text"),
        ({"created_at": datetime(2026, 1, 1)}, "time zone"),
    ],
)
def test_evidence_that_breaks_a_rule_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(RecordError, match=rule):
        evidence(**changes)


def test_evidence_says_the_same_at_any_time_and_nothing_else() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert evidence().says_the_same_as(evidence(created_at=noon))
    assert not evidence().says_the_same_as(evidence(guidance_scale=2.0))
    assert not evidence().says_the_same_as(evidence(details={}))


@pytest.mark.parametrize(
    ("scale", "name"), [(1.0, "glyphs-g1-8"), (1.5, "glyphs-g1.5-8"), (2.25, "glyphs-g2.25-8")]
)
def test_a_target_has_its_usual_name(scale: float, name: str) -> None:
    assert Target("glyphs", scale).solver_name(8) == name


def test_a_target_names_a_model() -> None:
    with pytest.raises(InvalidReference, match="a solver name"):
        Target("SiT-XL/2", 1.5)


def test_an_exported_version_is_imported_as_the_same_table() -> None:
    version = SolverVersion(
        name="glyphs",
        version=3,
        table=euler(),
        source=SOURCE,
        evidence=(evidence(),),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    exported = json.loads(json.dumps(version.as_dict()))
    assert SolverTable.from_dict(exported["table"]).digest == exported["digest"] == version.digest
    assert exported["evidence"][0]["metrics"] == evidence().metrics
    assert exported["created_at"] == "2026-01-01T00:00:00+00:00"
    with pytest.raises(TableError):
        SolverTable.from_dict(exported)
