"""What is searched, and how a job stands: the values that cross every border of a search.

SearchSpec      what a client asks for: one model, one guidance scale, several step counts
SearchJob       a spec on its way: its state, its progress, its results
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from solver_store.records import MAX_GUIDANCE_SCALE

MAX_SEARCH_STEPS = 64  # gradients run through all of them
MAX_STEP_COUNTS = 32  # in one job
MIN_BUDGET, MAX_BUDGET = 100, 100_000_000  # the paper spends 6.5 million at 10 steps
DEFAULT_BUDGETS = {"dss-plus": 120_000, "dss": 480_000}
NUM_SEARCH_SEEDS = 2**31

StepCount = Annotated[int, Field(ge=1, le=MAX_SEARCH_STEPS)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]


class Method(StrEnum):
    DSS = "dss"  # the paper's, faithfully
    DSS_PLUS = "dss-plus"  # ours


class Objective(StrEnum):
    ENDPOINT = "endpoint"  # be close to the converged ODE
    DISTRIBUTION = "distribution"  # match the features of real images
    MIXTURE = "mixture"  # both


class Promote(StrEnum):
    IF_BETTER = "if_better"
    NEVER = "never"


class SearchSpec(BaseModel):
    """A search, complete: every default is filled in, so that it says all that was done."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    model: ModelName
    steps: Annotated[
        tuple[StepCount, ...], Field(strict=False, min_length=1, max_length=MAX_STEP_COUNTS)
    ]
    guidance_scale: Annotated[float, Field(ge=0, le=MAX_GUIDANCE_SCALE)]
    method: Annotated[Method, Field(strict=False)] = Method.DSS_PLUS
    objective: Annotated[Objective, Field(strict=False)] = Objective.ENDPOINT
    budget: Annotated[
        int,
        Field(ge=MIN_BUDGET, le=MAX_BUDGET, description="Network evaluations per step count."),
    ] = DEFAULT_BUDGETS["dss-plus"]
    seed: Annotated[int, Field(ge=0, lt=NUM_SEARCH_SEEDS)] = 0
    promote: Annotated[Promote, Field(strict=False)] = Promote.IF_BETTER

    @field_validator("steps")
    @classmethod
    def _each_once(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(steps)) != len(steps):
            raise PydanticCustomError("steps_twice", "every step count may be asked for once")
        return steps


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED = frozenset({JobState.QUEUED, JobState.RUNNING})
TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Progress(Frozen):
    """How far a job is."""

    fraction: float = 0.0  # of the whole job, 0..1
    steps: int | None = None  # the step count that is being searched; None before and after
    stage: Literal["waiting", "teacher", "search", "evaluation", "done"] = "waiting"
    iteration: int = 0
    evaluations: int = 0  # network evaluations spent on this step count
    loss: float | None = None
    best_loss: float | None = None
    eta_s: float | None = None
    # The table that would be kept if it ended now, as SolverTable.as_dict gives it. It is part of
    # the job's record alone: in every event it would be kept a thousand times.
    candidate: dict[str, Any] | None = None


class FoundSolver(Frozen):
    name: str
    version: int
    digest: str


class StepResult(Frozen):
    """What a job found for one step count."""

    steps: int
    solver: FoundSolver
    promoted: tuple[str, ...]  # aliases that now point at it
    decision: str  # why, in a sentence
    evidence: dict[str, Any]  # as solver_store.records.Evidence.as_dict gives it


class SearchJob(Frozen):
    """A job as its record in the database has it."""

    id: str
    state: JobState
    spec: SearchSpec
    progress: Progress
    results: tuple[StepResult, ...]
    error: str | None  # of a failed job: the reason, in a sentence
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobEvent(Frozen):
    """Something that happened to a job. The numbers count 1, 2, 3 … within it, for replay."""

    number: int
    kind: Literal["queued", "started", "progress", "result", "stopping", "finished"]
    data: dict[str, Any]
    at: datetime
