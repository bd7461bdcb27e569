"""Solvers that ship with a model come in once, for its weights alone; people's decisions stay."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from solver_store.errors import RecordError
from solver_store.records import CHAMPION, FAITHFUL, Evidence, Target
from solver_store.shipped import SHIPPED_SOLVERS, ShippedSolver, import_shipped
from solver_store.store import SolverStore
from tests.solver_store.builders import SOURCE, euler, nothing_changes

DIGEST = "ab" * 32
TARGET = Target("glyphs", 1.3)


def shipped(nfe: int = 4, **changes: Any) -> ShippedSolver:
    solver = ShippedSolver(
        name=TARGET.solver_name(nfe),
        target=TARGET,
        aliases=(CHAMPION, FAITHFUL),
        table=euler(nfe),
        source=SOURCE,
        evidence=(Evidence("glyphs", DIGEST, nfe, 1.3, {"frechet_distance": 20.5}),),
    )
    return replace(solver, **changes)


def write(folder: Path, *solvers: ShippedSolver) -> Path:
    """A model's folder with solvers in it."""
    (folder / SHIPPED_SOLVERS).mkdir()
    for number, solver in enumerate(solvers):
        path = folder / SHIPPED_SOLVERS / f"{solver.name}-v{number}.json"
        path.write_text(json.dumps(solver.as_dict()))
    return folder


def test_a_file_holds_all_of_a_version(tmp_path: Path) -> None:
    [path] = (write(tmp_path, shipped()) / SHIPPED_SOLVERS).iterdir()
    assert ShippedSolver.read(path) == shipped(evidence=ShippedSolver.read(path).evidence)
    [entry] = ShippedSolver.read(path).evidence
    assert entry.says_the_same_as(shipped().evidence[0])


def test_it_becomes_the_champion_of_its_target(store: SolverStore, tmp_path: Path) -> None:
    assert import_shipped(store, write(tmp_path, shipped(4), shipped(6)), DIGEST) == 2
    champion = store.champion("glyphs", 6, 1.3)
    assert champion is not None
    assert champion.table == euler(6)
    assert champion.evidence[0].metrics == {"frechet_distance": 20.5}
    assert store.aliases("glyphs-g1.3-4") == {CHAMPION: 1, FAITHFUL: 1}


def test_a_second_start_changes_nothing(store: SolverStore, tmp_path: Path) -> None:
    folder = write(tmp_path, shipped())
    import_shipped(store, folder, DIGEST)
    with nothing_changes(store):
        assert import_shipped(store, folder, DIGEST) == 0


def test_what_was_made_for_other_weights_is_passed_over(store: SolverStore, tmp_path: Path) -> None:
    with nothing_changes(store):
        assert import_shipped(store, write(tmp_path, shipped()), "cd" * 32) == 0


def test_a_champion_that_was_found_here_stays(store: SolverStore, tmp_path: Path) -> None:
    own = shipped(aliases=())
    store.publish(own.name, euler(4, shade=0.7), source=SOURCE, target=TARGET)
    store.promote(own.name, CHAMPION, 1, expected=None, by="ada")
    import_shipped(store, write(tmp_path, shipped()), DIGEST)
    assert store.aliases(own.name) == {CHAMPION: 1, FAITHFUL: 2}


@pytest.mark.parametrize(
    "damaged",
    [
        "{}",
        "{",
        "[" * 100_000,
        *(
            json.dumps(shipped().as_dict() | changes)
            for changes in (
                {"table": {"schedule": "none"}},
                {"name": "euler"},  # which is a classical solver
                {"name": "No Name"},
                {"name": 7},
                {"aliases": ["No Alias"]},
                {"aliases": [7]},
                {"target": {"model": "No Model", "guidance_scale": 1.3}},
            )
        ),
    ],
)
def test_a_damaged_file_is_named_and_the_others_come_in(
    damaged: str, tmp_path: Path, store: SolverStore
) -> None:
    (write(tmp_path, shipped()) / SHIPPED_SOLVERS / "broken.json").write_text(damaged)
    with pytest.raises(RecordError, match=r"broken\.json is no shipped solver"):
        import_shipped(store, tmp_path, DIGEST)
    assert store.champion("glyphs", 4, 1.3) is not None


def test_a_model_without_solvers_of_its_own_is_no_fault(store: SolverStore, tmp_path: Path) -> None:
    assert import_shipped(store, tmp_path, DIGEST) == 0
