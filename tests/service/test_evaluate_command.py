"""`fewstep evaluate` on the tiny model, without a server."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from diffusion_core.classic import CLASSICAL_SOLVERS, classical_table
from diffusion_core.model import find_models, load_model
from service.cli import main
from solver_store.records import Evidence, Target
from solver_store.shipped import SHIPPED_SOLVERS, ShippedSolver
from solver_store.store import SolverStore
from tests.fakes import write_tiny_model

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_tiny_model(folder / "models")
    return folder


@pytest.fixture(autouse=True)
def environment(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSTEP_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def evaluate(*flags: str) -> int:
    return main(["evaluate", "--model", "tiny", "--samples", "40", "--threads", "1", *flags])


def test_all_solvers_are_compared_at_every_step_count(capsys: Output) -> None:
    assert evaluate("--steps", "4,6", "--json", "all.json", "--plot", "all.png") == 0
    told = capsys.readouterr()
    assert "tiny, guidance 1.5, 4 steps" in told.out
    assert "tiny, guidance 1.5, 6 steps" in told.out
    assert "40 samples by each solver" in told.out
    assert "100% sit-xl-256-6" in told.err.splitlines()  # no terminal: no bar, but lines
    figures = json.loads(Path("all.json").read_text())
    by_steps = {
        steps: {row["solver"] for row in figures["results"] if row["steps"] == steps}
        for steps in (4, 6)
    }
    assert by_steps[4] == set(CLASSICAL_SOLVERS)  # no paper has published one of 4 steps
    assert by_steps[6] == {*CLASSICAL_SOLVERS, "flowdcn-b-256-6", "sit-xl-256-6"}
    assert figures["num_samples"] == 40
    assert figures["converged"]["self_error"] < 1e-3
    with Image.open("all.png") as plot:
        assert plot.width > plot.height > 300


def test_the_best_comes_first_and_the_figures_are_those_of_the_json(capsys: Output) -> None:
    assert evaluate("--steps", "5", "--json", "five.json") == 0
    lines = capsys.readouterr().out.splitlines()
    results = json.loads(Path("five.json").read_text())["results"]
    metric = "endpoint_rmse"  # the tiny model has no judge
    best = min(results, key=lambda row: row["metrics"][metric]["value"])
    first = next(n for n, line in enumerate(lines) if line.startswith("solver")) + 1
    assert lines[first].split()[:2] == [
        best["solver"],
        f"{best['metrics'][metric]['value']:.4f}",
    ]
    low, high = best["metrics"][metric]["interval_95"]
    assert low < best["metrics"][metric]["value"] < high


def test_only_the_solvers_that_were_asked_for_are_measured(capsys: Output) -> None:
    flags = ["--steps", "4,5", "--solvers", "euler, flowdcn-b-256", "--guidance-scale", "1"]
    assert evaluate(*flags, "--json", "few.json") == 0
    figures = json.loads(Path("few.json").read_text())
    assert figures["guidance_scale"] == 1
    rows = [(row["steps"], row["solver"]) for row in figures["results"]]
    assert rows == [(4, "euler"), (5, "euler"), (5, "flowdcn-b-256-5/1")]


def test_versions_in_the_store_take_part_under_their_names(home: Path, capsys: Output) -> None:
    store = SolverStore.open(f"sqlite:///{home / 'fewstep.db'}")
    target = Target("tiny", 3.0)
    name = target.solver_name(7)
    for solver in ("ab2-lambda", "ab3-lambda"):
        table = classical_table(solver, "rectified-flow", 7)
        store.publish(name, table, source={}, target=target)
    store.promote(name, "champion", 2, expected=None, by="test")
    store.close()
    assert evaluate("--steps", "7", "--guidance-scale", "3") == 0
    told = capsys.readouterr().out
    assert f"{name}/1 " in told
    assert f"{name}/2 (champion)" in told
    assert evaluate("--steps", "7", "--guidance-scale", "2") == 0
    assert name not in capsys.readouterr().out  # made for another guidance scale


def test_what_was_measured_is_not_measured_again(home: Path) -> None:
    flags = ["--steps", "3", "--solvers", "euler"]
    evaluate(*flags)
    kept = {file: file.stat().st_mtime_ns for file in home.rglob("*.json")}
    evaluate(*flags)
    assert {file: file.stat().st_mtime_ns for file in home.rglob("*.json")} == kept


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--model", "nonesuch"], "'nonesuch'"),
        (["--solvers", "nonesuch"], "no solver is named 'nonesuch'"),
        (["--solvers", "flowdcn-b-256", "--steps", "4"], "the request asks for 4"),
        (["--solvers", ","], "--solvers names none"),
        (["--solvers", "ddim lambda"], "a solver name is"),
        (["--device", "tpu"], "tpu"),
        (["--database-url", "sqlite:////proc/x.db"], "/proc/x.db"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_failure_is_one_line(capsys: Output, flags: list[str], told: str) -> None:
    assert evaluate(*flags) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("fewstep: ")
    assert told in line


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--steps", "0"], "different numbers from 1 to 256"),
        (["--steps", "4,257"], "different numbers from 1 to 256"),
        (["--steps", "4,4"], "different numbers from 1 to 256"),
        (["--steps", "four"], "must be a number, got 'four'"),
        (["--guidance-scale", "51"], "must lie in [0, 50]"),
        (["--guidance-scale", "nan"], "must lie in [0, 50]"),
        (["--samples", "39"], "must lie in [40, 1000000]"),
        (["--plot", "x.bmp"], "must end in .png"),
        (["--json", "nowhere/x.json"], "there is no folder"),
        (["--plot", "nowhere/x.png"], "there is no folder"),
        (["--json", "."], "must be a file, and '.' is a folder"),
        (["--plot", "folder.png"], "must be a file, and 'folder.png' is a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_told_with_status_2(capsys: Output, flags: list[str], told: str) -> None:
    Path("folder.png").mkdir()
    with pytest.raises(SystemExit) as caught:
        evaluate(*flags)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_solvers_that_ship_with_a_model_take_part(home: Path, capsys: Output) -> None:
    folder = find_models(home / "models")["tiny"]
    digest = load_model(folder, torch.device("cpu")).digest
    target = Target("tiny", 1.5)
    name = target.solver_name(9)
    table = classical_table("ab3-lambda", "rectified-flow", 9)
    evidence = (Evidence("tiny", digest, 9, 1.5, {"endpoint_rmse": 0.5}),)
    shipped = ShippedSolver(name, target, ("champion",), table, {}, evidence)
    (folder.path / SHIPPED_SOLVERS).mkdir()
    (folder.path / SHIPPED_SOLVERS / "nine.json").write_text(json.dumps(shipped.as_dict()))
    assert evaluate("--steps", "9", "--solvers", f"{name},euler") == 0
    assert f"{name}/1 " in capsys.readouterr().out
