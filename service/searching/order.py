"""A request for a search with every default filled in."""

from search_jobs.defaults import completed
from search_jobs.spec import SearchSpec

from ..assembly import Services
from ..problems import blaming
from ..schemas import SearchRequest


def fill_in(request: SearchRequest, services: Services) -> SearchSpec:
    """Raises FieldRefused for a model that is unknown, or an objective that it cannot have."""
    name = services.default_model if request.model is None else request.model
    with blaming("model", name):
        card = services.residency.card(name)
    with blaming("objective", request.objective):
        return SearchSpec.model_validate(completed(request.model_dump(), card))
