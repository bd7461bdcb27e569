"""An example of every problem that a route may answer, for the OpenAPI document.

The documents are made as the real ones are: only rules, values and routes are written here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from diffusion_core import errors as diffusion
from search_jobs import errors as search
from solver_store import errors as store

from .. import errors as service
from ..problems import Problem, problem_of, problem_of_validation
from ..schemas import GenerateRequest

GENERATE, MODELS, SOLVERS, SEARCHES = "/generate", "/models", "/solvers", "/search-jobs"
DRAWING = (GENERATE, f"{SEARCHES}/{{job_id}}/sample")
STORED = (GENERATE, MODELS, SOLVERS, SEARCHES)  # routes that ask the database

REQUEST_ID = "5f1c0b9e7d3a4c62a8f0e1d2c3b4a596"


@dataclass(frozen=True)
class Example:
    """A refusal, and the routes that may answer it, by the beginning of their path."""

    error: Exception
    routes: tuple[str, ...]


def refused(field: str, value: object, cause: Exception) -> service.FieldRefused:
    return service.FieldRefused(field, str(cause), value, cause)


EXAMPLES = (
    Example(
        service.BodyUnreadable("the body is not JSON: Expecting value at character 12"),
        (GENERATE, SOLVERS, SEARCHES),
    ),
    Example(
        service.KeyMissing("this server asks for a key: Authorization: Bearer … or X-API-Key: …"),
        (GENERATE, MODELS, SOLVERS, SEARCHES, "/"),
    ),
    Example(
        service.NotAcceptable(
            "Accept must allow one of application/json, image/png, text/event-stream"
        ),
        (GENERATE,),
    ),
    Example(service.NotAcceptable("Accept must allow one of text/event-stream"), (SEARCHES,)),
    Example(
        service.BodyTooLarge("a body may have 1048576 bytes, announced are 2000000"),
        (GENERATE, SOLVERS, SEARCHES),
    ),
    Example(
        service.ContentTypeUnknown("Content-Type must be application/json, got 'text/plain'"),
        (GENERATE, SOLVERS, SEARCHES),
    ),
    Example(
        service.QueueFull(
            "the queue of glyphs holds 32760 of 32768 network rows, this request takes 16; "
            "try again in 1 s",
            retry_after_s=1,
        ),
        DRAWING,
    ),
    Example(
        service.RequestTooLarge(
            "a request may take at most 32768 network rows times steps, this one takes 40000"
        ),
        DRAWING,
    ),
    Example(service.DeadlineMissed("the deadline passed at step 3"), (GENERATE,)),
    Example(
        service.ImageFailed(
            "the values of this image are no longer finite: the sampling diverges with this "
            "solver (8 steps, guidance scale 50, seed 3)"
        ),
        DRAWING,
    ),
    Example(service.OutOfMemory("the device ran out of memory; try again later"), DRAWING),
    Example(
        service.DeterminismRefused(
            "deterministic images of sit-xl-2-512 need forwards of 8 network rows, for which cuda "
            "has no room; ask for it without `deterministic`"
        ),
        (GENERATE,),
    ),
    Example(service.EngineFault("the engine failed at this image"), DRAWING),
    Example(service.NotReady("a probe forward did not come through in 3 s"), ("/readyz",)),
    Example(
        service.DeviceBroken(
            "cuda is broken (CUDA error: an illegal memory access was encountered): "
            "only a new process can use it again"
        ),
        ("/livez",),
    ),
    Example(service.Draining("the server is stopping"), (*DRAWING, MODELS, "/readyz")),
    Example(
        refused(
            "model",
            "glyphs",
            service.NotResident("glyphs is not loaded: PUT /models/{name}/residency loads it"),
        ),
        (GENERATE, SEARCHES),
    ),
    Example(
        refused(
            "solver",
            "flowdcn-b-256-10",
            diffusion.TableMismatch("flowdcn-b-256-10 takes 10 steps, the request asks for 8"),
        ),
        (GENERATE,),
    ),
    Example(
        refused("model", "glyph", diffusion.ModelNotFound("no model 'glyph'; at hand: glyphs")),
        (GENERATE, MODELS, SOLVERS, SEARCHES),
    ),
    Example(
        refused(
            "class_id",
            99,
            diffusion.ClassNotFound("class_id must lie in [0, 35] for glyphs, got 99"),
        ),
        DRAWING,
    ),
    Example(
        refused("name", "mine", diffusion.ModelInvalid("card.json: no such file")),
        (f"{MODELS}/{{name}}/residency",),
    ),
    Example(
        refused(
            "name",
            "mine",
            diffusion.ModelExists("a former model 'mine' is still loaded: unload it first"),
        ),
        (f"{MODELS}/{{name}}/residency",),
    ),
    Example(
        refused(
            "name",
            "dit-xl-2-256",
            diffusion.ModelTooLarge("dit-xl-2-256 needs 2.7 GiB on cpu, 1.9 GiB are free"),
        ),
        (f"{MODELS}/{{name}}/residency",),
    ),
    Example(
        refused("job_id", "20261123-11bb6500a1", search.JobNotFound("no such search job")),
        (f"{SEARCHES}/",),
    ),
    Example(
        refused(
            "job_id",
            "20261123-11bb6500a1",
            search.JobFinished("search job 20261123-11bb6500a1 has ended already: succeeded"),
        ),
        (f"{SEARCHES}/{{job_id}}/cancel", f"{SEARCHES}/{{job_id}}/stop"),
    ),
    Example(
        refused("Idempotency-Key", "mine-1", search.KeyReused("this key came with another spec")),
        (SEARCHES,),
    ),
    Example(
        refused(
            "objective",
            "distribution",
            search.SearchRefused("a model without a critic knows the objective endpoint alone"),
        ),
        (SEARCHES,),
    ),
    Example(
        refused(
            "job_id", "20261123-11bb6500a1", search.NoCandidate("it has not found a table yet")
        ),
        (f"{SEARCHES}/{{job_id}}/candidate", f"{SEARCHES}/{{job_id}}/sample"),
    ),
    Example(
        refused(
            "table.weights",
            "[[0.5], [0.1, 0.2, 0.3]]",
            store.TableError("row 1 must hold 1 to 2 weights, got 3"),
        ),
        (SOLVERS,),
    ),
    Example(
        refused("note", "…", store.RecordError("note must have at most 2000 characters, got 2400")),
        (SOLVERS, SEARCHES),
    ),
    Example(
        refused(
            "solver",
            "sha256:46be25",
            store.InvalidReference("a digest needs at least 12 digits, got 6"),
        ),
        (GENERATE, SOLVERS),
    ),
    Example(
        refused(
            "name",
            "mine-10",
            store.NameMismatch(
                "mine-10 holds tables of 10 steps on schedule rectified-flow, "
                "this one has 8 on rectified-flow"
            ),
        ),
        (SOLVERS,),
    ),
    Example(
        refused("solver", "mine-9", store.VersionNotFound("no solver is named 'mine-9'")),
        (GENERATE, SOLVERS),
    ),
    Example(
        refused(
            "version",
            2,
            store.PromotionConflict("champion points at 3, not at 1", current=3),
        ),
        (SOLVERS,),
    ),
    Example(store.StoreUnavailable("the database is away: connection refused"), STORED),
    Example(
        store.StoreDamaged("glyphs-g1.3-8/2 is missing, though later versions are there"),
        (GENERATE,),
    ),
)


def examples_of(path: str, status: int) -> dict[str, Any]:
    """The examples of one answer of one route, by their titles, as OpenAPI has them."""
    return {
        problem.title: {"value": problem.as_dict(REQUEST_ID)}
        for routes, problem in _all()
        if problem.status == status and any(path.startswith(route) for route in routes)
    }


@cache
def _all() -> tuple[tuple[tuple[str, ...], Problem], ...]:
    made = [(example.routes, problem_of(example.error)) for example in EXAMPLES]
    return (*made, *(((GENERATE, MODELS, SOLVERS, SEARCHES), p) for p in _invalid()))


def _invalid() -> Iterator[Problem]:
    """A request that breaks its schema."""
    try:
        GenerateRequest.model_validate({"class_id": "7", "steps": 300})
    except ValidationError as error:
        found = [entry | {"loc": ("body", *entry["loc"])} for entry in error.errors()]
        yield problem_of_validation(RequestValidationError(found))
