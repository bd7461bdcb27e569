"""Between a job and the search that it runs: what the search may ask for and must tell.

The job (search_jobs/job.py) knows leases, the database and the store; the search knows the maths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from solver_store.records import JSON, Evidence, Target
from solver_store.table import SolverTable

from .spec import Progress, StepResult


@dataclass(frozen=True)
class Promotion:
    """An alias that is to move to the new version, if it still points where it did."""

    alias: str
    expected: int | None  # the version it points at; None where it does not exist yet
    note: str  # why, with the figures


@dataclass(frozen=True)
class StepOutcome:
    """What was found for one step count: a table with its evidence, and what is to become of it."""

    steps: int
    name: str  # under which it is published, as SolverStore.name_of gives it
    target: Target
    table: SolverTable
    source: Mapping[str, JSON]
    evidence: Sequence[Evidence]
    promotions: Sequence[Promotion]
    decision: str  # why it is promoted or not, in a sentence


class Control(Protocol):
    """What a running search holds on to. All methods may raise LeaseLost or JobCancelled."""

    def report(self, progress: Progress) -> None:
        """Say how far it is; cheap, so it may be called at every iteration."""

    def should_stop(self) -> bool:
        """Whether to end now and keep the best so far."""

    def result(self, steps: int) -> StepResult | None:
        """What an earlier run of this job has published for this step count already."""

    def publish(self, outcome: StepOutcome) -> StepResult:
        """Publish once, whoever else runs this job; promote by compare-and-swap."""
