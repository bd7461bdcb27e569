"""What clients get back, as JSON: behind the OpenAPI document, the answers, and our own client."""

from base64 import b64decode
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from search_jobs.spec import TERMINAL, JobState, Method, Objective, Promote

from .schemas import TableDocument


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class SolverUsed(Answer):
    """Which solver it was."""

    name: str
    version: int | None  # None for a classical solver
    digest: str  # sha256 of the table


class ImageAnswer(Answer):
    """One picture."""

    seed: int
    format: Literal["png"]
    base64: str  # the file, with its provenance in a text chunk

    @property
    def png(self) -> bytes:
        return b64decode(self.base64)


class Timing(Answer):
    """Milliseconds; of several images the longest."""

    queue: float  # before the first step
    sampling: float  # from the first step to the last
    decode: float
    total: float  # of the whole request


class GenerateAnswer(Answer):
    """Pictures, and all that went into them."""

    id: str
    model: str
    class_id: int
    class_name: str
    solver: SolverUsed
    steps: int
    guidance_scale: float
    guided_channels: int
    images: list[ImageAnswer]
    timing_ms: Timing


class BestSolver(Answer):
    """What `auto` takes at this number of steps and the default guidance."""

    steps: int
    solver: SolverUsed


class ModelAnswer(Answer):
    """A model that is at hand."""

    name: str
    title: str
    network: str  # dit or flowdcn
    digest: str | None  # sha256 of the weights; None where they were never read
    is_default: bool
    resident: Annotated[
        bool, Field(description="Whether it is loaded; PUT /models/{name}/residency loads it.")
    ]
    size_bytes: Annotated[int, Field(description="What it takes on the device.")]
    schedule: str
    prediction: str
    latent_shape: list[int]
    classes: list[str]  # in the order of class_id
    default_guidance_scale: float
    guided_channels: Annotated[int, Field(description="Guidance acts on the first so many.")]
    decoder: str
    best_solvers: list[BestSolver]
    licence: str
    source: str


class ModelsAnswer(Answer):
    models: list[ModelAnswer]


class TargetAnswer(Answer):
    model: str
    guidance_scale: float


class SolverEntry(Answer):
    """A name at a glance."""

    name: str
    kind: Literal["stored", "classical"]
    schedule: str | None  # None for a classical solver: it runs on every one
    steps: int | None  # None for a classical solver: it takes any number
    target: TargetAnswer | None  # the model and guidance that `auto` may take it for
    num_versions: int
    aliases: dict[str, int]
    created_at: datetime | None


class SolversAnswer(Answer):
    solvers: list[SolverEntry]


class EvidenceAnswer(Answer):
    """How a version did on a model."""

    model: str
    model_digest: str
    steps: int
    guidance_scale: float
    metrics: dict[str, float]
    details: dict[str, Any]
    created_at: datetime


class VersionEntry(Answer):
    """A version without its table."""

    version: int
    digest: str
    source: dict[str, Any]
    evidence: list[EvidenceAnswer]
    created_at: datetime


class AliasMoveAnswer(Answer):
    """One move of an alias."""

    name: str
    alias: str
    version: int  # where it points since
    from_version: int | None
    moved_by: str
    note: str
    moved_at: datetime


class SolverAnswer(SolverEntry):
    """A name with its history."""

    versions: list[VersionEntry]
    moves: list[AliasMoveAnswer]


class SolverVersionAnswer(Answer):
    """One table under one name, with where it came from and how it did."""

    name: str
    version: int
    digest: str
    table: TableDocument
    source: dict[str, Any]
    evidence: list[EvidenceAnswer]
    created_at: datetime


class SearchSpecAnswer(Answer):
    """What is searched, with every default filled in."""

    model: str
    steps: list[int]
    guidance_scale: float
    method: Method
    objective: Objective
    budget: int  # network evaluations for each step count
    seed: int
    promote: Promote


class SearchProgressAnswer(Answer):
    """How far a search is."""

    fraction: float  # of the whole job, 0 to 1
    steps: int | None  # the step count that is being searched; null before and after
    stage: str
    iteration: int
    evaluations: int  # network evaluations spent on this step count
    loss: float | None
    best_loss: float | None
    eta_s: float | None  # seconds to the end of the whole job


class CandidateAnswer(Answer):
    """The table that a running search would publish if it ended now."""

    steps: int
    iteration: int
    loss: float | None
    digest: str
    table: TableDocument


class SearchResultAnswer(Answer):
    """What was found for one step count."""

    steps: int
    solver: SolverUsed
    promoted: list[str]  # the aliases that were moved to it
    decision: str  # why, in a sentence
    evidence: EvidenceAnswer | None


class SearchJobAnswer(Answer):
    """A search as it stands."""

    id: str
    state: JobState
    spec: SearchSpecAnswer
    progress: SearchProgressAnswer
    results: list[SearchResultAnswer]
    error: str | None  # why it failed
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_finished(self) -> bool:
        return self.state in TERMINAL


class SearchJobsAnswer(Answer):
    search_jobs: list[SearchJobAnswer]


class FieldAnswer(Answer):
    """A field that was refused."""

    field: str
    rule: str
    value: Annotated[
        str | int | float | bool | None, Field(description="What was sent, shortened.")
    ]


class ProblemAnswer(Answer):
    """A problem document, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: Annotated[
        str | None, Field(description="As in the header X-Request-ID: the log has it, too.")
    ] = None
    errors: list[FieldAnswer]
    current_version: Annotated[
        int | None, Field(description="Of an alias that moved meanwhile.")
    ] = None


class Health(Answer):
    status: Literal["live", "ready"]
