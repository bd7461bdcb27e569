"""`torchrun … -m search_jobs run spec.json`: the same search in two processes."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import torch

from search_jobs.__main__ import main
from search_jobs.distributed import own_device
from search_jobs.errors import SearchRefused
from solver_store.store import SolverStore
from solver_store.table import SolverTable
from tests.fakes import write_tiny_model
from tests.search_jobs.processes import ROOT

SPEC = {"model": "tiny", "steps": [2, 3], "guidance_scale": 1.0, "budget": 4_000}
NAMES = ["tiny-g1-2", "tiny-g1-3"]


def make_home(home: Path) -> list[str]:
    """Returns what a command is told of it."""
    write_tiny_model(home / "models")
    (home / "spec.json").write_text(json.dumps(SPEC))
    return [f"{home}/spec.json", "--home", str(home), "--device", "cpu", "--threads", "1"]


def launch(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [sys.executable, *launcher, "-m", module, *arguments],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def only_table(home: Path, name: str) -> SolverTable:
    """Of the one version that there is."""
    with closing(SolverStore.open(f"sqlite:///{home}/fewstep.db")) as store:
        [version] = store.versions(name)
        return version.table


@pytest.mark.slow
def test_two_processes_publish_once_what_one_finds(tmp_path: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    ended = launch("search_jobs", "run", *make_home(together))
    assert ended.returncode == 0, ended.stderr
    assert [ended.stdout.count(f"{name}/1") for name in NAMES] == [1, 1]
    assert ended.stderr.count("100%") == 1
    assert main(["run", *make_home(alone)]) == 0
    for name in NAMES:
        found, expected = only_table(together, name), only_table(alone, name)
        assert found.times == pytest.approx(expected.times, abs=1e-3)
        assert found.carry == pytest.approx(expected.carry, abs=1e-3)
        for row, expected_row in zip(found.weights, expected.weights, strict=True):
            assert row == pytest.approx(expected_row, abs=1e-3)
    assert list((together / "searches").iterdir()) == []


@pytest.mark.slow
def test_what_fails_in_the_first_ends_both_and_is_told_once(tmp_path: Path) -> None:
    given = make_home(tmp_path)
    ended = launch("tests.search_jobs.failing_run", "the first cannot publish", *given)
    assert ended.returncode == 1
    assert ended.stderr.count("search_jobs: [Errno 28] No space left on device") == 1
    assert str(ROOT / "search_jobs") not in ended.stderr, "a traceback of ours"
    # What was found before is kept, for the same command to go on from.
    assert list((tmp_path / "searches").glob("*/2.safetensors"))


@pytest.mark.slow
def test_what_the_first_cannot_measure_is_published_and_both_go_on(tmp_path: Path) -> None:
    given = make_home(tmp_path)
    ended = launch("tests.search_jobs.failing_run", "the first cannot measure", *given)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Not measured, so nothing is promoted") == len(NAMES)
    for name in NAMES:
        only_table(tmp_path, name)


@pytest.mark.slow
def test_a_process_that_dies_ends_the_other(tmp_path: Path) -> None:
    ended = launch("tests.search_jobs.failing_run", "the second dies", *make_home(tmp_path))
    assert ended.returncode == 1
    with closing(SolverStore.open(f"sqlite:///{tmp_path}/fewstep.db")) as store:
        assert NAMES[0] not in {solver.name for solver in store.solvers()}


class TestOwnDevice:
    @pytest.fixture(autouse=True)
    def second_of_two(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOCAL_RANK", "1")
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
        monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)

    def see(self, monkeypatch: pytest.MonkeyPatch, num_gpus: int) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: num_gpus)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: num_gpus > 0)

    def test_every_process_has_a_gpu_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.see(monkeypatch, 2)
        assert own_device("auto") == own_device("cuda") == "cuda:1"

    def test_processes_share_the_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.see(monkeypatch, 2)
        assert own_device("cpu") == "cpu"
        self.see(monkeypatch, 0)
        assert own_device("auto") == "cpu"

    def test_too_few_gpus_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.see(monkeypatch, 1)
        with pytest.raises(SearchRefused, match="2 processes need a GPU each, torch sees 1"):
            own_device("auto")

    def test_one_gpu_for_all_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.see(monkeypatch, 2)
        with pytest.raises(SearchRefused, match=r"take a GPU each: .* got 'cuda:0'"):
            own_device("cuda:0")
