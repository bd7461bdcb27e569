"""What clients send: closed models, never coerced. `answers.py` says what they get back."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from search_jobs.spec import (
    MAX_BUDGET,
    MAX_STEP_COUNTS,
    MIN_BUDGET,
    NUM_SEARCH_SEEDS,
    Method,
    Objective,
    Promote,
    StepCount,
)
from solver_store.records import MAX_GUIDANCE_SCALE
from solver_store.table import MAX_NFE

NUM_SEEDS = 2**53  # all integers below are exact in every reader of JSON
MAX_IMAGES = 64
MAX_DEADLINE_MS = 24 * 3600 * 1000
MAX_VERSION = 999_999_999

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,99}$"
ALIAS_PATTERN = r"^[a-z][a-z0-9._-]{0,31}$"
REFERENCE_PATTERN = (  # as solver_store/reference.py has it, for the OpenAPI document
    r"^([a-z0-9][a-z0-9._-]{0,99}(@[a-z][a-z0-9._-]{0,31}|/[1-9][0-9]{0,8})?"
    r"|sha256:[0-9a-f]{12,64})$"
)

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
GuidanceScale = Annotated[float, Field(ge=0, le=MAX_GUIDANCE_SCALE)]
Version = Annotated[int, Field(ge=1, le=MAX_VERSION)]


class Closed(BaseModel):
    """Unknown fields, wrong types and non-finite numbers are refused, never coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class GenerateRequest(Closed):
    """Images of one class."""

    class_id: Annotated[int, Field(ge=0, description="What to draw: an index into the classes.")]
    steps: Annotated[int, Field(ge=1, le=MAX_NFE, description="Network evaluations per image.")]
    model: Annotated[Name | None, Field(description="Default: the server's default model.")] = None
    solver: Annotated[
        str,
        Field(
            pattern=REFERENCE_PATTERN,
            description="auto, a name, name@alias, name/3, sha256:… or a classical solver.",
        ),
    ] = "auto"
    guidance_scale: Annotated[
        GuidanceScale | None, Field(description="Default: the model's. 1 means no guidance.")
    ] = None
    guided_channels: Annotated[
        int | None,
        Field(
            ge=1, le=1024, description="Guidance acts on so many channels. Default: the model's."
        ),
    ] = None
    seed: Annotated[
        int | None,
        Field(ge=0, lt=NUM_SEEDS, description="Of image 0; image i has seed + i. Default: drawn."),
    ] = None
    num_images: Annotated[int, Field(ge=1, le=MAX_IMAGES)] = 1
    image_format: Literal["png"] = "png"
    deterministic: Annotated[
        bool, Field(description="Bit for bit the same beside any other requests.")
    ] = False
    deadline_ms: Annotated[
        int | None,
        Field(ge=1, le=MAX_DEADLINE_MS, description="Give up after this time, with status 504."),
    ] = None
    preview: Annotated[
        bool, Field(description="Send the picture with every step of an event stream.")
    ] = False

    @field_validator("num_images")
    @classmethod
    def _last_seed_in_range(cls, num_images: int, info: ValidationInfo) -> int:
        seed = info.data.get("seed")
        if seed is not None and seed + num_images > NUM_SEEDS:
            raise PydanticCustomError("seed_range", "seed + num_images must be at most 2^53")
        return num_images


class TableDocument(Closed):
    """A solver table as JSON; its rules are in solver_store/table.py."""

    schedule: Literal["rectified-flow", "vp", "ddpm"]
    prediction: Literal["velocity", "data", "noise"]
    node_times: Annotated[list[float], Field(min_length=1, max_length=MAX_NFE)]
    times: Annotated[list[float], Field(min_length=2, max_length=MAX_NFE + 1)]
    carry: Annotated[list[float], Field(min_length=1, max_length=MAX_NFE)]
    weights: Annotated[
        list[Annotated[list[float], Field(min_length=1, max_length=MAX_NFE)]],
        Field(min_length=1, max_length=MAX_NFE),
    ]


class PaperForm(Closed):
    """A table in the form of Wang et al. 2025, eq. 16 (rectified flow) and 19 (vp)."""

    schedule: Literal["rectified-flow", "vp"]
    time_deltas: Annotated[
        list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1, max_length=MAX_NFE)
    ]
    coefficients: Annotated[
        list[Annotated[list[float], Field(max_length=MAX_NFE - 1)]],
        Field(
            min_length=1,
            max_length=MAX_NFE,
            description="Row i holds the i weights on predictions 0 to i - 1.",
        ),
    ]

    @field_validator("coefficients")
    @classmethod
    def _strictly_lower(cls, rows: list[list[float]], info: ValidationInfo) -> list[list[float]]:
        deltas = info.data.get("time_deltas")
        if deltas is not None and len(rows) != len(deltas):
            raise PydanticCustomError("rows", "one row for each of the time_deltas is needed")
        for i, row in enumerate(rows):
            if len(row) != i:
                raise PydanticCustomError("row", "row {i} must hold {i} weights", {"i": i})
        return rows


class TargetDocument(Closed):
    """What a name stands for, beside its number of steps."""

    model: Name
    guidance_scale: GuidanceScale


def _say_one_form(schema: dict[str, Any]) -> None:
    """None is how the absence of a form is kept here; a client leaves the other form out."""
    for form in ("table", "paper_form"):
        schema["properties"][form] = schema["properties"][form]["anyOf"][0]
    schema["oneOf"] = [{"required": ["table"]}, {"required": ["paper_form"]}]


class ImportRequest(Closed):
    """A solver to keep: exactly one of `table` and `paper_form`."""

    model_config = ConfigDict(json_schema_extra=_say_one_form)

    name: Name
    table: TableDocument | None = None
    paper_form: PaperForm | None = None
    target: Annotated[
        TargetDocument | None,
        Field(description="The model and guidance scale for which `auto` may follow it."),
    ] = None
    note: Annotated[str, Field(max_length=2000, description="Where it comes from.")] = ""

    @model_validator(mode="after")
    def _one_form(self) -> "ImportRequest":
        forms = {"table": self.table, "paper_form": self.paper_form}
        given = [forms[name] for name in forms if name in self.model_fields_set]
        if len(given) != 1 or given == [None]:
            raise PydanticCustomError("one_form", "exactly one of table and paper_form is needed")
        return self


class PromotionRequest(Closed):
    """Where an alias is to point, and where the sender believes that it points now."""

    version: Version
    expected: Annotated[
        Version | None, Field(description="Its present version; null where it does not exist yet.")
    ]
    note: Annotated[str, Field(max_length=2000, description="Why.")] = ""


StepCounts = Annotated[
    list[StepCount],
    Field(min_length=1, max_length=MAX_STEP_COUNTS, json_schema_extra={"uniqueItems": True}),
]

_STEP_COUNT: TypeAdapter[int] = TypeAdapter(StepCount, config=ConfigDict(strict=True))


def _listed(value: object) -> object:
    """One step count is a list of one; checked here, so that a refusal names `steps`."""
    return value if isinstance(value, list) else [_STEP_COUNT.validate_python(value)]


class SearchRequest(Closed):
    """A search for better solvers of one model at one guidance scale."""

    steps: Annotated[
        StepCounts,
        BeforeValidator(_listed, json_schema_input_type=StepCount | StepCounts),
        Field(description="Network evaluations per image; several make several solvers."),
    ]
    model: Annotated[Name | None, Field(description="Default: the server's default model.")] = None
    guidance_scale: Annotated[GuidanceScale | None, Field(description="Default: the model's.")] = (
        None
    )
    method: Annotated[
        Method, Field(strict=False, description="`dss` is the paper's, `dss-plus` ours.")
    ] = Method.DSS_PLUS
    objective: Annotated[
        Annotated[Objective, Field(strict=False)] | None,
        Field(
            description="`endpoint`: close to the converged ODE; `distribution`: features of real "
            "images; `mixture`: both. Default: distribution where the model ships a critic, which "
            "knows real images; else endpoint."
        ),
    ] = None
    budget: Annotated[
        int | None,
        Field(
            ge=MIN_BUDGET,
            le=MAX_BUDGET,
            description="Network evaluations for each step count. Default: the method's.",
        ),
    ] = None
    seed: Annotated[int, Field(ge=0, lt=NUM_SEARCH_SEEDS)] = 0
    promote: Annotated[
        Promote, Field(strict=False, description="Whether what is found may become the champion.")
    ] = Promote.IF_BETTER

    @field_validator("steps")
    @classmethod
    def _each_once(cls, steps: list[int]) -> list[int]:
        if len(set(steps)) != len(steps):
            raise PydanticCustomError("steps_twice", "every step count may be asked for once")
        return steps
