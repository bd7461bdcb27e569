import dataclasses
import hashlib
import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver_store.errors import TableError
from solver_store.table import MAX_NFE, MAX_NUMBER, SCHEDULES, Prediction, SolverTable

AB2 = {
    "schedule": "rectified-flow",
    "prediction": "velocity",
    "node_times": [0.0, 0.25, 0.5],
    "times": [0.0, 0.25, 0.5, 1.0],
    "carry": [1.0, 1.0, 1.0],
    "weights": [[0.25], [-0.125, 0.375], [-0.5, 1.0]],
}


def with_(**changes: Any) -> dict[str, Any]:
    return AB2 | changes


def build(**changes: Any) -> SolverTable:
    return SolverTable.from_dict(with_(**changes))


def euler(nfe: int) -> dict[str, Any]:
    times = [n / nfe for n in range(nfe + 1)]
    return with_(node_times=times[:-1], times=times, carry=[1.0] * nfe, weights=[[1.0 / nfe]] * nfe)


# What a table is


def test_a_table_knows_its_evaluations_and_its_memory() -> None:
    table = build()
    assert (table.nfe, table.history_length) == (3, 2)
    assert table.prediction is Prediction.VELOCITY
    assert table.weights == ((0.25,), (-0.125, 0.375), (-0.5, 1.0))


def test_a_table_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        build().schedule = "vp"  # type: ignore[misc]


def test_tables_with_equal_numbers_are_equal_and_hash_alike() -> None:
    assert build() == build(carry=(1, 1, 1))
    assert len({build(), build()}) == 1


def test_the_longest_and_the_shortest_table_are_accepted() -> None:
    assert SolverTable.from_dict(euler(1)).nfe == 1
    assert SolverTable.from_dict(euler(MAX_NFE)).nfe == MAX_NFE


def test_times_may_rest_for_the_stages_of_one_step() -> None:
    assert build(times=[0.0, 0.5, 0.5, 1.0]).times[1] == 0.5


@pytest.mark.parametrize(
    ("schedule", "times"),
    [("vp", [0.999, 0.5, 0.25, 0.0]), ("ddpm", [999.0, 500.0, 250.0, -1.0])],
)
def test_times_fall_on_schedules_that_fall(schedule: str, times: list[float]) -> None:
    assert build(schedule=schedule, times=times, node_times=times[:-1]).schedule == schedule


# The rules, each refused with the rule, the value and the place


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"schedule": "cosine"},
            "schedule must be one of rectified-flow, vp, ddpm, got 'cosine'",
        ),
        ({"schedule": None}, "schedule must be one of rectified-flow, vp, ddpm, got None"),
        (
            {"prediction": "score"},
            "prediction must be one of velocity, data, noise, got 'score'",
        ),
        ({"node_times": []}, "a table holds 1 to 256 nodes, node_times has 0"),
        ({"times": [0.0, 0.5, 1.0]}, "times must hold nfe + 1 = 4 numbers, got 3"),
        ({"carry": [1.0]}, "carry must hold nfe = 3 numbers, got 1"),
        ({"weights": [[1.0]]}, "weights must hold nfe = 3 rows, got 1"),
        (
            {"weights": [[1.0, 1.0], [1.0], [1.0]]},
            "weights[0] must hold 1 to 1 numbers, got 2",
        ),
        ({"weights": [[1.0], [], [1.0]]}, "weights[1] must hold 1 to 2 numbers, got 0"),
        (
            {"times": [0.0, 0.5, 0.25, 1.0]},
            "times must rise or rest on schedule rectified-flow: times[1] is 0.5, times[2] is 0.25",
        ),
        (
            {"schedule": "vp"},
            "times must fall or rest on schedule vp: times[0] is 0.0, times[1] is 0.25",
        ),
        (
            {"times": [0.0, 0.25, 0.5, 1.5]},
            "times[3] must lie in [0, 1] for schedule rectified-flow, got 1.5",
        ),
        (
            {"node_times": [0.0, -0.25, 0.5]},
            "node_times[1] must lie in [0, 1] for schedule rectified-flow, got -0.25",
        ),
        (
            {"schedule": "ddpm", "times": [1000.0, 2.0, 1.0, 0.0]},
            "times[0] must lie in [-1, 999] for schedule ddpm, got 1000.0",
        ),
        ({"carry": [1.0, math.nan, 1.0]}, "carry[1] must be finite, got nan"),
        ({"times": [0.0, 0.25, 0.5, math.inf]}, "times[3] must be finite, got inf"),
        ({"weights": [[1.0], [1.0, -math.inf], [1.0]]}, "weights[1][1] must be finite, got -inf"),
        (
            {"carry": [10**400, 1.0, 1.0]},
            "carry[0] must be finite, got an integer too large for a float",
        ),
        (
            {"weights": [[1.0], [1.0, 1e308], [1.0]]},
            "weights[1][1] must lie within ±3.40282e+38, as float32 does, got 1e+308",
        ),
        (
            {"carry": [1.0, 1.0, -3.5e38]},
            "carry[2] must lie within ±3.40282e+38, as float32 does, got -3.5e+38",
        ),
        ({"carry": [True, 1.0, 1.0]}, "carry[0] must be a number, got True"),
        ({"carry": ["1", 1.0, 1.0]}, "carry[0] must be a number, got '1'"),
        ({"carry": [None, 1.0, 1.0]}, "carry[0] must be a number, got None"),
        ({"carry": "111"}, "carry must be a list of numbers, got str"),
        ({"carry": 1.0}, "carry must be a list of numbers, got float"),
        ({"weights": {"0": [1.0]}}, "weights must be a list of rows, got dict"),
        ({"weights": [1.0, 1.0, 1.0]}, "weights[0] must be a list of numbers, got float"),
    ],
)
def test_a_broken_rule_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError) as refusal:
        build(**changes)
    assert str(refusal.value) == message


def test_the_largest_number_is_float32s() -> None:
    assert float(np.finfo(np.float32).max) == MAX_NUMBER
    assert build(carry=[1.0, -MAX_NUMBER, MAX_NUMBER]).carry == (1.0, -MAX_NUMBER, MAX_NUMBER)


def test_more_than_256_nodes_are_refused() -> None:
    with pytest.raises(TableError, match="a table holds 1 to 256 nodes, node_times has 257"):
        SolverTable.from_dict(euler(MAX_NFE + 1))


def test_missing_and_unknown_fields_are_refused() -> None:
    without = {name: value for name, value in AB2.items() if name != "carry"}
    with pytest.raises(TableError, match="a table needs the field 'carry'"):
        SolverTable.from_dict(without)
    with pytest.raises(TableError, match="a table has no field 'author'"):
        SolverTable.from_dict(AB2 | {"author": "me"})


# Canonical JSON and digest


def test_the_digest_is_the_sha256_of_sorted_unspaced_json() -> None:
    expected = json.dumps(AB2, sort_keys=True, separators=(",", ":"))
    assert build().canonical_json == expected
    assert build().digest == hashlib.sha256(expected.encode()).hexdigest()


def test_the_digest_does_not_change_between_releases() -> None:
    # Stored versions are identified by it: if this fails, every stored digest is void.
    assert build().digest == "665c87883f272769589d979c1d3b84f55053b56980cb5352266a085d98b33c24"


def test_negative_zero_is_written_as_zero() -> None:
    negative = build(times=[-0.0, 0.25, 0.5, 1.0], weights=[[0.25], [-0.0, 0.375], [-0.5, 1.0]])
    positive = build(weights=[[0.25], [0.0, 0.375], [-0.5, 1.0]])
    assert "-0.0" not in negative.canonical_json
    assert negative.digest == positive.digest


def test_integers_and_floats_have_one_digest() -> None:
    assert build(carry=[1, 1, 1]).digest == build().digest


@st.composite
def tables(draw: st.DrawFn) -> SolverTable:
    nfe = draw(st.integers(1, 6))
    number = st.floats(-MAX_NUMBER, MAX_NUMBER)
    schedule = draw(st.sampled_from(SCHEDULES))
    times = draw(st.lists(st.floats(0.0, 1.0), min_size=nfe + 1, max_size=nfe + 1))
    row_lengths = [draw(st.integers(1, n + 1)) for n in range(nfe)]
    return SolverTable(
        schedule=schedule,
        prediction=draw(st.sampled_from(Prediction)),
        node_times=tuple(draw(st.lists(st.floats(0.0, 1.0), min_size=nfe, max_size=nfe))),
        times=tuple(sorted(times, reverse=schedule != "rectified-flow")),
        carry=tuple(draw(st.lists(number, min_size=nfe, max_size=nfe))),
        weights=tuple(
            tuple(draw(st.lists(number, min_size=length, max_size=length)))
            for length in row_lengths
        ),
    )


@settings(deadline=None)
@given(tables())
def test_a_table_survives_json_unchanged(table: SolverTable) -> None:
    decoded = json.loads(table.canonical_json)
    again = SolverTable.from_dict(decoded)
    assert again == table
    assert again.digest == table.digest


@settings(deadline=None)
@given(tables(), st.randoms())
def test_the_order_of_the_fields_does_not_matter(
    table: SolverTable, shuffle: random.Random
) -> None:
    fields = list(table.as_dict().items())
    shuffle.shuffle(fields)
    assert SolverTable.from_dict(dict(fields)).digest == table.digest


@settings(deadline=None)
@given(tables())
def test_any_changed_number_changes_the_digest(table: SolverTable) -> None:
    last = table.weights[-1]
    nudged = math.nextafter(last[-1], math.inf if last[-1] < 0 else -math.inf)
    changed = dataclasses.replace(table, weights=(*table.weights[:-1], (*last[:-1], nudged)))
    assert changed.digest != table.digest
