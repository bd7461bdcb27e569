"""GET /models: what is at hand; PUT and DELETE /models/{name}/residency: what is loaded."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from diffusion_core.card import ModelCard
from diffusion_core.model import LoadedModel, ModelFolder

from ..answers import BestSolver, ModelAnswer, ModelsAnswer, SolverUsed
from ..assembly import Services
from ..border.context import services_of
from ..problems import blaming
from ..schemas import NAME_PATTERN
from .documentation import problems

router = APIRouter(prefix="/models", tags=["models"])

Name = Annotated[str, Path(pattern=NAME_PATTERN)]

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
def load_model(name: Name, request: Request) -> Response:
    """Load a model; the images of the others go on meanwhile. Answers when it can be used."""
    services = services_of(request)
    with blaming("name", name):
        services.residency.load(name)
    services.selector.refresh()  # solvers may have come with it
    return _json(_answer(services, name))


@router.delete("/{name}/residency", response_model=ModelAnswer, responses=problems(404, 422, 503))
def unload_model(name: Name, request: Request) -> Response:
    """Take no more requests for a model, finish its images, and give its memory back."""
    services = services_of(request)
    model = services.models.get(name)
    before = None if model is None else _of_resident(services, model)
    del model  # or its memory could not be given back
    with blaming("name", name):
        services.residency.unload(name)
    if before is not None and name not in services.residency.at_hand():
        return _json(before.model_copy(update={"resident": False}))  # removed meanwhile
    return _json(_answer(services, name))


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
        best_solvers=[_best_solver(services, card, steps) for steps in BEST_STEPS],
        licence=card.licence,
        source=card.source,
    )


def _best_solver(services: Services, card: ModelCard, steps: int) -> BestSolver:
    best = services.selector.select("auto", card, steps, card.default_guidance_scale)
    used = SolverUsed(name=best.name, version=best.version, digest=best.digest)
    return BestSolver(steps=steps, solver=used)


def _json(answer: ModelAnswer | ModelsAnswer) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
