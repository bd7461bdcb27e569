"""GET /solvers, POST /solvers, PUT /solvers/{name}/aliases/{alias}: tables, versions, aliases."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from diffusion_core.classic import CLASSICAL_SOLVERS, is_classical
from solver_store.records import AliasMove, SolverSummary, SolverVersion
from solver_store.table import MAX_NFE

from ..answers import (
    AliasMoveAnswer,
    Answer,
    SolverAnswer,
    SolverEntry,
    SolversAnswer,
    SolverVersionAnswer,
    TargetAnswer,
    VersionEntry,
)
from ..border.context import services_of
from ..problems import blaming
from ..schemas import ALIAS_PATTERN, MAX_VERSION, NAME_PATTERN, ImportRequest, PromotionRequest
from ..solver_import import import_solver
from .documentation import BODY_PROBLEMS, Responses, problems

router = APIRouter(prefix="/solvers", tags=["solvers"])

Name = Annotated[str, Path(pattern=NAME_PATTERN)]
Alias = Annotated[str, Path(pattern=ALIAS_PATTERN)]
Version = Annotated[int, Path(ge=1, le=MAX_VERSION)]

ONE_SCHEDULE = frozenset({"vp", "ddpm"})  # in two clocks: a table of one runs on both

IMPORTED: Responses = {
    200: {"model": SolverVersionAnswer, "description": "The name holds this table already"},
    201: {
        "model": SolverVersionAnswer,
        "description": "A new version",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
    **problems(*BODY_PROBLEMS, 409, 503),
}


@router.get("", response_model=SolversAnswer, responses=problems(404, 422, 503))
def list_solvers(
    request: Request,
    model: Annotated[str | None, Query(description="Only what runs on this model.")] = None,
    steps: Annotated[
        int | None, Query(ge=1, le=MAX_NFE, description="Only what takes so many steps.")
    ] = None,
) -> Response:
    """Every solver: those in the store, and the classical ones, which take any number of steps."""
    services = services_of(request)
    stored = services.store.solvers(steps=steps)
    if model is not None:
        with blaming("model", model):
            schedule = services.residency.card(model).schedule
        stored = [entry for entry in stored if _runs_on(entry, model, schedule)]
    classical = [_classical(name) for name in CLASSICAL_SOLVERS]
    return _json(SolversAnswer(solvers=[_stored(entry) for entry in stored] + classical))


@router.get("/{name}", response_model=SolverAnswer, responses=problems(404, 422, 503))
def show_solver(name: Name, request: Request) -> Response:
    """One name: its versions without their tables, and every move of its aliases."""
    if is_classical(name):
        entry = _classical(name)
        return _json(SolverAnswer(**dict(entry), versions=[], moves=[]))
    store = services_of(request).store
    with blaming("name", name):
        versions = store.versions(name)
    answer = SolverAnswer(
        **dict(_stored(store.solver(name))),
        versions=[_version_entry(version) for version in versions],
        moves=[_move(move) for move in store.alias_history(name)],
    )
    return _json(answer)


@router.get(
    "/{name}/versions/{version}",
    response_model=SolverVersionAnswer,
    responses=problems(404, 422, 503),
)
def show_version(name: Name, version: Version, request: Request) -> Response:
    """One version: its table, its evidence, and where it came from."""
    with blaming("version", version):
        return _json(_version(services_of(request).store.get(name, version)))


@router.post("", response_model=SolverVersionAnswer, status_code=201, responses=IMPORTED)
def add_solver(body: ImportRequest, request: Request) -> Response:
    """Import a table, as it is or in the form of the paper."""
    services = services_of(request)
    publication = import_solver(services.store, body)
    services.selector.refresh()
    version = publication.version
    response = _json(_version(version))
    response.headers["Location"] = f"/solvers/{version.name}/versions/{version.version}"
    response.status_code = 201 if publication.is_new else 200
    return response


@router.put(
    "/{name}/aliases/{alias}",
    response_model=AliasMoveAnswer,
    responses=problems(*BODY_PROBLEMS, 404, 409, 503),
)
def move_alias(name: Name, alias: Alias, body: PromotionRequest, request: Request) -> Response:
    """Promote a version, or roll back to one; refused if the alias has moved meanwhile."""
    services = services_of(request)
    with blaming("version", body.version):
        move = services.store.promote(
            name, alias, body.version, expected=body.expected, by="api", note=body.note
        )
    services.selector.refresh()
    return _json(_move(move))


def _runs_on(entry: SolverSummary, model: str, schedule: str) -> bool:
    """Made for this model, or for none in particular and on its schedule."""
    if entry.target is not None:
        return entry.target.model == model
    return entry.schedule == schedule or {entry.schedule, schedule} <= ONE_SCHEDULE


def _classical(name: str) -> SolverEntry:
    return SolverEntry(
        name=name,
        kind="classical",
        schedule=None,
        steps=None,
        target=None,
        num_versions=0,
        aliases={},
        created_at=None,
    )


def _stored(entry: SolverSummary) -> SolverEntry:
    target = entry.target
    return SolverEntry(
        name=entry.name,
        kind="stored",
        schedule=entry.schedule,
        steps=entry.steps,
        target=target and TargetAnswer(model=target.model, guidance_scale=target.guidance_scale),
        num_versions=entry.num_versions,
        aliases=dict(entry.aliases),
        created_at=entry.created_at,
    )


def _version(version: SolverVersion) -> SolverVersionAnswer:
    return SolverVersionAnswer.model_validate(version.as_dict())


def _version_entry(version: SolverVersion) -> VersionEntry:
    return VersionEntry.model_validate(version.as_dict())


def _move(move: AliasMove) -> AliasMoveAnswer:
    return AliasMoveAnswer(
        name=move.name,
        alias=move.alias,
        version=move.to_version,
        from_version=move.from_version,
        moved_by=move.moved_by,
        note=move.note,
        moved_at=move.moved_at,
    )


def _json(answer: Answer) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
