"""Small records to fill a store with, and all that a store holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from solver_store.records import Evidence, Target
from solver_store.store import SolverStore
from solver_store.table import Prediction, SolverTable

GLYPHS = Target("glyphs", 1.5)
SOURCE = {"kind": "test"}


def euler(nfe: int = 2, shade: float = 0.5, schedule: str = "rectified-flow") -> SolverTable:
    """An Euler table whose first step ends at shade / nfe: another shade, another digest."""
    times = [n / nfe for n in range(nfe + 1)]
    if nfe > 1:
        times[1] = shade / nfe
    if schedule == "vp":
        times = [1 - t for t in times]
    return SolverTable(
        schedule=schedule,
        prediction=Prediction.VELOCITY,
        node_times=tuple(times[:-1]),
        times=tuple(times),
        carry=(1.0,) * nfe,
        weights=tuple((times[n + 1] - times[n],) for n in range(nfe)),
    )


def evidence(**changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "model": "glyphs",
        "model_digest": "ab" * 32,
        "steps": 2,
        "guidance_scale": 1.5,
        "metrics": {"frechet_distance": 52.6, "endpoint_rmse": 0.031},
        "details": {"samples": 720, "seeds": [0, 719]},
    }
    return Evidence(**(values | changes))


def contents(store: SolverStore) -> object:
    names = [solver.name for solver in store.solvers()]
    return (
        store.revision(),
        store.solvers(),
        [store.versions(name) for name in names],
        [store.alias_history(name) for name in names],
    )


@contextmanager
def nothing_changes(store: SolverStore) -> Iterator[None]:
    before = contents(store)
    yield
    assert contents(store) == before
