"""What a search is for where nobody says so."""

from diffusion_core.card import ModelCard

from .spec import Method, Objective, SearchSpec


def default_objective(method: Method, card: ModelCard) -> Objective:
    """Features of real images where the model ships a critic that knows them: what measures best.

    Without one the converged ODE is all there is to aim at; the paper's method knows nothing else.
    """
    if method is Method.DSS or card.critic is None:
        return Objective.ENDPOINT
    return Objective.DISTRIBUTION


def with_objective(spec: SearchSpec, card: ModelCard) -> SearchSpec:
    """The spec itself where it names its objective."""
    if "objective" in spec.model_fields_set:
        return spec
    return spec.model_copy(update={"objective": default_objective(spec.method, card)})
