"""GET /models: what is loaded."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from diffusion_core.model import LoadedModel

from ..answers import BestSolver, ModelAnswer, ModelsAnswer, SolverUsed
from ..assembly import Services
from ..border.context import services_of
from ..generation.order import find_model
from ..problems import blaming
from ..schemas import NAME_PATTERN
from .documentation import problems

router = APIRouter(prefix="/models", tags=["models"])

Name = Annotated[str, Path(pattern=NAME_PATTERN)]

BEST_STEPS = range(1, 33)  # as far as few steps go


@router.get("", response_model=ModelsAnswer, responses=problems(503))
def list_models(request: Request) -> Response:
    """Every model that is loaded."""
    services = services_of(request)
    answers = [_answer(services, model) for model in services.models.values()]
    return _json(ModelsAnswer(models=answers))


@router.get("/{name}", response_model=ModelAnswer, responses=problems(404, 422, 503))
def show_model(name: Name, request: Request) -> Response:
    """One model."""
    services = services_of(request)
    with blaming("name", name):
        model = find_model(services, name)
    return _json(_answer(services, model))


def _answer(services: Services, model: LoadedModel) -> ModelAnswer:
    card = model.card
    return ModelAnswer(
        name=card.name,
        title=card.title,
        digest=model.digest,
        is_default=card.name == services.default_model,
        schedule=card.schedule,
        prediction=card.prediction.value,
        latent_shape=list(card.latent_shape),
        classes=list(card.classes),
        default_guidance_scale=card.default_guidance_scale,
        best_solvers=[_best_solver(services, model, steps) for steps in BEST_STEPS],
        licence=card.licence,
        source=card.source,
    )


def _best_solver(services: Services, model: LoadedModel, steps: int) -> BestSolver:
    card = model.card
    best = services.selector.select("auto", card, steps, card.default_guidance_scale)
    used = SolverUsed(name=best.name, version=best.version, digest=best.digest)
    return BestSolver(steps=steps, solver=used)


def _json(answer: ModelAnswer | ModelsAnswer) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")
