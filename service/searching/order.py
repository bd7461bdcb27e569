"""A request for a search with every default filled in."""

from search_jobs.spec import DEFAULT_BUDGETS, Method, Objective, SearchSpec

from ..assembly import Services
from ..generation.order import find_model
from ..problems import blaming
from ..schemas import SearchRequest

DEFAULT_OBJECTIVES = {
    Method.DSS: Objective.ENDPOINT,  # the paper knows no other
    Method.DSS_PLUS: SearchSpec.model_fields["objective"].default,
}


def fill_in(request: SearchRequest, services: Services) -> SearchSpec:
    """Raises FieldRefused for a model that is not loaded."""
    name = services.default_model if request.model is None else request.model
    with blaming("model", name):
        card = find_model(services, name).card
    guidance_scale = request.guidance_scale
    if guidance_scale is None:
        guidance_scale = card.default_guidance_scale
    return SearchSpec(
        model=name,
        steps=tuple(request.steps),
        guidance_scale=float(guidance_scale),
        method=request.method,
        objective=request.objective or DEFAULT_OBJECTIVES[request.method],
        budget=DEFAULT_BUDGETS[request.method] if request.budget is None else request.budget,
        seed=request.seed,
        promote=request.promote,
    )
