import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import environment
from benchmarks.results import Result, Target


@pytest.fixture
def result() -> Result:
    return Result(
        name="serving-example",
        about="Two figures.",
        parameters={"rounds": 3},
        figures={"ratio": 0.95, "slow_ms": 2.0},
        samples={"ratio": [0.94, 0.95, 0.96]},
        targets=(Target("ratio", ">=", 0.9), Target("slow_ms", "<=", 1.0)),
    )


def test_a_result_says_which_targets_were_met(result: Result) -> None:
    targets = {target["figure"]: target["met"] for target in result.as_dict()["targets"]}

    assert targets == {"ratio": True, "slow_ms": False}


def test_a_result_names_machine_and_versions_but_no_place(result: Result, tmp_path: Path) -> None:
    written = result.write(tmp_path / "results").read_text("utf-8")
    document = json.loads(written)

    assert document["machine"]["cpu"]
    assert document["machine"]["cores"] >= 1
    assert {"python", "torch", "fewstep"} <= document["versions"].keys()
    assert str(environment.ROOT) not in written
    assert str(tmp_path) not in written


def test_a_result_is_shown_with_its_verdicts(result: Result) -> None:
    out = StringIO()
    result.show(Console(file=out, width=120))

    assert ">= 0.9 met" in out.getvalue()
    assert "<= 1 missed" in out.getvalue()
