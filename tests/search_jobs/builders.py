"""Small searches and what they find."""

from typing import Any

from search_jobs.control import Promotion, StepOutcome
from search_jobs.spec import SearchSpec
from solver_store.records import Target
from solver_store.table import SolverTable
from tests.solver_store.builders import euler, evidence

GUIDANCE = 2.2
MODEL = "glyphs"


def spec(**changes: Any) -> SearchSpec:
    values: dict[str, Any] = {"model": MODEL, "steps": (2,), "guidance_scale": GUIDANCE}
    return SearchSpec(**(values | changes))


def outcome(
    steps: int = 2,
    shade: float = 0.5,
    promotions: tuple[Promotion, ...] = (),
    table: SolverTable | None = None,
    decision: str = "It is better.",
) -> StepOutcome:
    target = Target(MODEL, GUIDANCE)
    return StepOutcome(
        steps=steps,
        name=target.solver_name(steps),
        target=target,
        table=table or euler(steps, shade),
        source={"kind": "test"},
        evidence=[evidence(steps=steps, guidance_scale=GUIDANCE)],
        promotions=promotions,
        decision=decision,
    )


def promotion(expected: int | None = None, alias: str = "champion") -> Promotion:
    return Promotion(alias, expected, "lower distance")
