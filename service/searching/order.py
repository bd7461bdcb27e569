"""A request for a search with every default filled in."""

from diffusion_core.card import ModelCard
from search_jobs.defaults import default_objective
from search_jobs.errors import SearchRefused
from search_jobs.spec import DEFAULT_BUDGETS, Method, Objective, SearchSpec

from ..assembly import Services
from ..problems import blaming
from ..schemas import SearchRequest


def fill_in(request: SearchRequest, services: Services) -> SearchSpec:
    """Raises FieldRefused for a model that is unknown, or an objective that it cannot have."""
    name = services.default_model if request.model is None else request.model
    with blaming("model", name):
        card = services.residency.card(name)
    with blaming("objective", request.objective):
        objective = _objective(request, card)
    guidance_scale = request.guidance_scale
    if guidance_scale is None:
        guidance_scale = card.default_guidance_scale
    return SearchSpec(
        model=name,
        steps=tuple(request.steps),
        guidance_scale=float(guidance_scale),
        method=request.method,
        objective=objective,
        budget=DEFAULT_BUDGETS[request.method] if request.budget is None else request.budget,
        seed=request.seed,
        promote=request.promote,
    )


def _objective(request: SearchRequest, card: ModelCard) -> Objective:
    """Raises SearchRefused here already: the search itself would find out later."""
    only_endpoint = None
    if request.method is Method.DSS:
        only_endpoint = "the method dss knows no other"
    elif card.critic is None:
        only_endpoint = f"{card.name} ships no critic for another"
    if request.objective is None:
        return default_objective(request.method, card)
    if only_endpoint and request.objective is not Objective.ENDPOINT:
        raise SearchRefused(f"must be endpoint: {only_endpoint}")
    return request.objective
