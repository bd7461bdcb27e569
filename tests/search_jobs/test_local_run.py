"""`python -m search_jobs run spec.json`: one search, without server or Redis."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from search_jobs import local_run
from search_jobs.__main__ import main
from search_jobs.control import Control
from search_jobs.errors import SearchDiverged
from search_jobs.run import SearchResources
from search_jobs.spec import Progress, SearchSpec
from solver_store.store import SolverStore
from tests.fakes import write_tiny_model
from tests.search_jobs.builders import outcome, promotion
from tests.solver_store.builders import euler

Search = Callable[[Control, SearchResources], None]
GIVEN = {"model": "tiny", "steps": [2, 3], "guidance_scale": 2.2}
NAMES = ["glyphs-g2.2-2", "glyphs-g2.2-3"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_tiny_model(tmp_path / "models")
    return tmp_path


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> Callable[[Search], None]:
    """Search like this."""

    def set_search(search: Search) -> None:
        def run_spec(spec: SearchSpec, resources: SearchResources, control: Control) -> None:
            search(control, resources)

        monkeypatch.setattr(local_run, "run_spec", run_spec)

    return set_search


def run(home: Path, **changes: Any) -> int:
    file = home / "spec.json"
    file.write_text(json.dumps(GIVEN | changes))
    return main(["run", str(file), "--home", str(home), "--device", "cpu", "--threads", "1"])


def find_all(control: Control, resources: SearchResources) -> None:
    for steps in (2, 3):
        control.report(Progress(steps=steps, stage="search", loss=0.5, eta_s=61.0))
        if control.result(steps) is None:
            control.publish(outcome(steps, promotions=(promotion(),)))


def test_what_is_found_is_published_and_told(
    home: Path, searching: Callable[[Search], None], capsys: pytest.CaptureFixture[str]
) -> None:
    searching(find_all)
    assert run(home) == 0
    printed = capsys.readouterr().out
    with closing(SolverStore.open(f"sqlite:///{home}/fewstep.db")) as store:
        for steps, name in zip((2, 3), NAMES, strict=True):
            assert store.by_alias(name).table == euler(steps)
            assert f"{name}/1" in printed
    assert "champion" in printed
    assert list((home / "searches").iterdir()) == []


def test_the_decision_is_printed_as_it_is(
    home: Path, searching: Callable[[Search], None], capsys: pytest.CaptureFixture[str]
) -> None:
    decision = "[b] see [/tmp/x]"

    def find(control: Control, resources: SearchResources) -> None:
        for steps in (2, 3):
            control.publish(outcome(steps, decision=decision))

    searching(find)
    assert run(home) == 0
    assert decision in capsys.readouterr().out


def test_an_interrupted_search_keeps_its_checkpoint_and_goes_on(
    home: Path, searching: Callable[[Search], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(control: Control, resources: SearchResources) -> None:
        control.publish(outcome(2))
        (resources.workspace / "3.safetensors").write_text("half way")
        raise KeyboardInterrupt

    searching(interrupted)
    assert run(home) == 130
    assert "The same command goes on from there." in capsys.readouterr().err

    def resumed(control: Control, resources: SearchResources) -> None:
        found = control.result(2)
        assert found is not None
        assert found.solver.version == 1
        assert control.result(3) is None
        assert (resources.workspace / "3.safetensors").read_text() == "half way"
        control.publish(outcome(3))

    searching(resumed)
    assert run(home) == 0


def test_another_spec_does_not_go_on_from_there(
    home: Path, searching: Callable[[Search], None]
) -> None:
    folders = []

    def interrupted(control: Control, resources: SearchResources) -> None:
        folders.append(resources.workspace)
        raise KeyboardInterrupt

    searching(interrupted)
    for seed in (0, 0, 1):
        run(home, seed=seed)
    assert folders[0] == folders[1] != folders[2]


def test_a_failed_search_says_why_in_one_line(
    home: Path, searching: Callable[[Search], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def diverged(control: Control, resources: SearchResources) -> None:
        raise SearchDiverged("the loss is nan")

    searching(diverged)
    assert run(home) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "search_jobs: the loss is nan"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": [0]}, "steps.0: Input should be greater than or equal to 1"),
        ({"budget": 10**18}, "budget: Input should be less than or equal to 100000000"),
        ({"method": "guess"}, "method: Input should be 'dss' or 'dss-plus'"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"model": "none"}, "no model 'none'; at hand: "),
    ],
)
def test_a_spec_that_breaks_a_rule_is_refused_with_it(
    home: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], told: str
) -> None:
    assert run(home, **changes) == 1
    assert told in capsys.readouterr().err


def test_a_file_that_is_no_spec_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(home / "none.json"), "--home", str(home)]) == 1
    (home / "text.json").write_text("steps: 6")
    assert main(["run", str(home / "text.json"), "--home", str(home)]) == 1
    assert "text.json is no JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--device", "tpu"], "--device: must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        (["--threads", "0"], "--threads: input should be greater than or equal to 1, got '0'"),
        (["--redis-url", "http://host"], "the Redis URL cannot be read"),
        (["--database-url", "mysql://host/x"], "sqlite or postgresql, got mysql"),
    ],
)
def test_a_worker_that_cannot_start_says_why(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    told: str,
) -> None:
    monkeypatch.setenv("FEWSTEP_HOME", "")  # restored with what the flags set
    for name in ("DEVICE", "THREADS", "REDIS_URL", "DATABASE_URL"):
        monkeypatch.setenv(f"FEWSTEP_{name}", "")
        monkeypatch.delenv(f"FEWSTEP_{name}")
    assert main(["worker", "--home", str(tmp_path), *flags]) == 1
    assert told in capsys.readouterr().err
