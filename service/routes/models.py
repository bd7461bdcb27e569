"""GET /models: what is at hand; PUT and DELETE /models/{name}/residency: what is loaded."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from diffusion_core.card import ModelCard
from diffusion_core.errors import TableMismatch
from diffusion_core.model import LoadedModel, ModelFolder
from solver_store.errors import StoreDamaged

from ..answers import BestSolver, ModelAnswer, ModelsAnswer, SolverUsed
from ..assembly import Services
from ..border.context import services_of
from ..problems import blaming
from ..schemas import NAME_PATTERN
from .documentation import problems

router = APIRouter(prefix="/models", tags=["models"])

Name = Annotated[str, Path(pattern=NAME_PATTERN)]

Move = Callable[[Services, str], ModelAnswer]

BEST_STEPS = range(1, 33)  # as far as few steps go


@router.get("", response_model=ModelsAnswer, responses=problems(503))
def list_models(request: Request) -> Response:
    """Every model that is loaded, then every other one at hand."""
    services = services_of(request)
    resident = services.models
    others = services.residency.at_hand()
    answers = [_of_resident(services, model) for model in resident.values()]
    answers += [_of_folder(services, others[name]) for name in others if name not in resident]
    return _json(ModelsAnswer(models=answers))


@router.get("/{name}", response_model=ModelAnswer, responses=problems(404, 422, 503))
def show_model(name: Name, request: Request) -> Response:
    """One model."""
    return _json(_answer(services_of(request), name))


@router.put(
    "/{name}/residency", response_model=ModelAnswer, responses=problems(404, 409, 422, 503, 507)
)
async def load_model(name: Name, request: Request) -> Response:
    """Load a model; the images of the others go on meanwhile. Answers when it can be used."""
    return _json(await _moved(_load, services_of(request), name))


@router.delete("/{name}/residency", response_model=ModelAnswer, responses=problems(404, 422, 503))
async def unload_model(name: Name, request: Request) -> Response:
    """Take no more requests for a model, finish its images, and give its memory back."""
    return _json(await _moved(_unload, services_of(request), name))


async def _moved(move: Move, services: Services, name: str) -> ModelAnswer:
    """In the thread that is there for it, however many wait for one model."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(services.mover, move, services, name)


def _load(services: Services, name: str) -> ModelAnswer:
    with blaming("name", name):
        services.residency.load(name)
    services.selector.refresh()  # solvers may have come with it
    return _answer(services, name)


def _unload(services: Services, name: str) -> ModelAnswer:
    model = services.models.get(name)
    before = None if model is None else _of_resident(services, model)
    del model  # or its memory could not be given back
    with blaming("name", name):
        services.residency.unload(name)
    if before is not None and name not in services.residency.at_hand():
        return before.model_copy(update={"resident": False})  # removed meanwhile
    return _answer(services, name)


def _answer(services: Services, name: str) -> ModelAnswer:
    model = services.models.get(name)
    if model is not None:
        return _of_resident(services, model)
    with blaming("name", name):
        return _of_folder(services, services.residency.folder(name))


def _of_resident(services: Services, model: LoadedModel) -> ModelAnswer:
    return _describe(services, model.card, model.digest, model.num_bytes, resident=True)


def _of_folder(services: Services, folder: ModelFolder) -> ModelAnswer:
    card = folder.card
    size = folder.num_bytes(services.residency.dtype)
    return _describe(services, card, card.weights_sha256, size, resident=False)


def _describe(
    services: Services, card: ModelCard, digest: str | None, num_bytes: int, resident: bool
) -> ModelAnswer:
    return ModelAnswer(
        name=card.name,
        title=card.title,
        network=card.architecture.network,
        digest=digest,
        is_default=card.name == services.default_model,
        resident=resident,
        size_bytes=num_bytes,
        schedule=card.schedule,
        prediction=card.prediction.value,
        latent_shape=list(card.latent_shape),
        classes=list(card.classes),
        default_guidance_scale=card.default_guidance_scale,
        guided_channels=card.guided_channels,
        decoder=card.decoder,
        best_solvers=_best_solvers(services, card),
        licence=card.licence,
        source=card.source,
    )


def _best_solvers(services: Services, card: ModelCard) -> list[BestSolver]:
    """At all step counts at which `auto` has an answer.

    Where it has none, whoever asks for pictures is told why; the other models are none the worse.
    """
    found = []
    for steps in BEST_STEPS:
        with suppress(TableMismatch, StoreDamaged):
            best = services.selector.select("auto", card, steps, card.default_guidance_scale)
            used = SolverUsed(name=best.name, version=best.version, digest=best.digest)
            found.append(BestSolver(steps=steps, solver=used))
    return found


def _json(answer: ModelAnswer | ModelsAnswer) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
