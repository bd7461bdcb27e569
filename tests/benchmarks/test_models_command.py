"""`./run bench models`: which tables and models it takes, what it refuses, and when it writes."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.models import command, searched
from benchmarks.models.command import main
from benchmarks.models.comparison import Home
from benchmarks.models.searched import Searched, find_searched
from benchmarks.models.throughput import Plan
from benchmarks.processes import BenchmarkError
from benchmarks.results import Result
from diffusion_core.classic import classical_table
from diffusion_core.model import ModelFolder
from search_jobs.settings import WorkerSettings, read_worker_settings
from solver_store.records import CHAMPION, Evidence, Target
from solver_store.store import SolverStore
from solver_store.table import SolverTable
from tests.fakes import write_tiny_model

Output = pytest.CaptureFixture[str]
STEPS = 3


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    """Of a data folder of one's own, with the model `tiny` in it."""
    monkeypatch.setenv("FEWSTEP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(command, "CACHE", tmp_path / "cache")
    write_tiny_model(tmp_path / "home" / "models")
    return read_worker_settings()


def table(name: str = "ab2", steps: int = STEPS, schedule: str = "rectified-flow") -> SolverTable:
    return classical_table(name, schedule, steps)


def ship(folder: ModelFolder, found: SolverTable, version: int = 1, *aliases: str) -> None:
    """As if a search had found it, and it had been put beside the card."""
    target = Target(folder.card.name, folder.card.default_guidance_scale)
    solver = {
        "name": target.solver_name(found.nfe), "target": vars(target), "aliases": aliases,
        "table": found.as_dict(), "source": {}, "evidence": [],
    }  # fmt: skip
    path = folder.path / "solvers" / f"{solver['name']}-v{version}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(solver))


def tiny(settings: WorkerSettings) -> ModelFolder:
    return ModelFolder.read(settings.home / "models" / "tiny")


def publish(settings: WorkerSettings, found: SolverTable, digest: str, alias: str = "") -> None:
    """As a search of the server's does."""
    target = Target("tiny", 1.5)
    name = target.solver_name(found.nfe)
    evidence = Evidence("tiny", digest, found.nfe, 1.5, metrics={"endpoint_rmse": 0.1})
    with closing(SolverStore.open(settings.database)) as store:
        published = store.publish(name, found, source={}, evidence=[evidence], target=target)
        if alias:
            number = published.version.version
            store.promote(name, alias, number, expected=None, by="test")


@pytest.mark.usefixtures("settings")
def test_searches_that_are_missing_are_told_before_anything_is_measured(
    capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(searched, "load_model", None)
    assert main(["siblings", "--steps", "6,7,9", "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3, "one line for each model"
    assert "no table of 7, 9 steps was searched on glyphs at guidance 1.3" in told[0]
    assert "(there are: 4, 5, 6, 8, 10)" in told[0]
    assert "./run search glyphs-dcn --steps 7,9 --follow" in told[1]
    assert main(["transfer", "--steps", "4,5", "--out", str(tmp_path / "out")]) == 1
    assert "./run search glyphs-dcn --steps 5 --follow" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_tables_of_the_data_folders_own_searches_are_found(settings: WorkerSettings) -> None:
    digest = tiny(settings).weights_digest
    with pytest.raises(BenchmarkError, match="there are: none"):
        find_searched(["tiny"], [STEPS], settings)
    assert not (settings.home / "fewstep.db").exists(), "looking makes no store"
    publish(settings, table("euler"), "ab" * 32)
    with pytest.raises(BenchmarkError, match="there are: none"):
        find_searched(["tiny"], [STEPS], settings)  # of weights that were here before
    publish(settings, table("ab2"), digest, CHAMPION)
    publish(settings, table("ab3"), digest)
    [found] = find_searched(["tiny"], [STEPS], settings)
    assert found.tables == {STEPS: table("ab2")}


def test_of_several_tables_that_ship_the_champion_is_taken(settings: WorkerSettings) -> None:
    for version, (name, *aliases) in enumerate([["ab2"], ["ab3", CHAMPION], ["euler"]], 1):
        ship(tiny(settings), table(name), version, *aliases)
    [found] = find_searched(["tiny"], [STEPS], settings)
    assert found.tables == {STEPS: table("ab3")}


def test_tables_of_any_two_models_at_hand_change_places(
    settings: WorkerSettings, tmp_path: Path
) -> None:
    other = write_tiny_model(settings.home / "models", "other")
    ship(tiny(settings), table("euler"))
    ship(other, table("ab2"))
    given = ["--models", "tiny", "other", "--steps", str(STEPS), "--samples", "40"]
    assert main(["transfer", *given, "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / f"models-transfer-tiny-other-{STEPS}.json").read_text())
    assert result["figures"]["other on tiny, endpoint_rmse over home"] < 1
    assert result["figures"]["tiny on other, endpoint_rmse over home"] > 1


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("models", "words"),
    [
        (["glyphs"], "name two or more"),
        (["glyphs", "glyphs"], "name two or more"),
        (["glyphs", "glyphs-ddpm"], "glyphs on glyphs-ddpm: "),
        (["glyphs", "nobody"], "'nobody' is no folder with a card"),
    ],
)
def test_tables_that_cannot_change_places_are_refused(
    models: list[str], words: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searched, "load_model", None)
    assert main(["transfer", "--models", *models]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("settings")
def test_what_was_measured_is_kept_when_the_next_one_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Output
) -> None:
    class AnySubject:
        def plan(self, samples: int) -> None: ...

    def compare(home: Home, steps: int, *of: Any) -> Result:
        if steps == 8:
            raise BenchmarkError("no more")
        return Result(f"at-{steps}", "", {}, {}, {})

    monkeypatch.setattr(Searched, "load", lambda self: AnySubject())
    monkeypatch.setattr(command, "compare", compare)
    given = ["--models", "glyphs", "--steps", "6,8,10", "--out", str(tmp_path)]
    assert main(["siblings", *given]) == 1
    assert "no more" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("*.json")] == ["at-6.json"]


@pytest.mark.parametrize(
    "given",
    [
        ["vp", "--steps", "6"],
        ["vp", "--models", "glyphs"],
        ["full-size", "--samples", "60"],
        ["full-size", "--steps", "6"],
        ["throughput", "--samples", "60"],
        ["transfer", "--every"],
        ["siblings", "--samples", "39"],
        ["siblings", "--steps", "6,0"],
    ],
)
def test_options_that_would_be_ignored_or_cannot_be_had_are_refused(
    given: list[str], capsys: Output
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(given)
    assert given[1] in capsys.readouterr().err


def test_throughput_takes_steps_and_batches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Plan] = []

    def throughput(family: Any, plan: Plan, *of: Any) -> Iterator[Result]:
        asked.append(plan)
        yield from ()

    monkeypatch.setattr(command, "throughput", throughput)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["throughput", "--steps", "5,20", "--batches", "2,8"]) == 0
    assert main(["throughput", "--batches", "2"]) == 0
    assert [(list(plan.steps), list(plan.batches)) for plan in asked] == [
        ([5, 20], [2, 8]),
        ([10], [2]),
    ]
