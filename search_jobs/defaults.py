"""What a search is for, and what it may cost, where nobody says so."""

from collections.abc import Mapping
from typing import Any

from diffusion_core.card import ModelCard

from .errors import SearchRefused
from .spec import DEFAULT_BUDGETS, Method, Objective


def completed(asked: Mapping[str, Any], card: ModelCard) -> dict[str, Any]:
    """The fields of a SearchSpec: what was asked for, and defaults for what is missing or None.

    steps may be one number. Raises SearchRefused for an objective that cannot be had; the other
    rules are SearchSpec's own.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    method = given.setdefault("method", Method.DSS_PLUS)
    if isinstance(given.get("steps"), int):
        given["steps"] = [given["steps"]]
    if method in list(Method):
        given["objective"] = _objective(given.get("objective"), Method(method), card)
        given.setdefault("budget", DEFAULT_BUDGETS[method])
    given.setdefault("guidance_scale", float(card.default_guidance_scale))
    return given | {"model": card.name}


def default_objective(method: Method, card: ModelCard) -> Objective:
    """Features of real images where the model ships a critic that knows them: what measures best.

    Without one the converged ODE is all there is to aim at; the paper's method knows nothing else.
    """
    if method is Method.DSS or card.critic is None:
        return Objective.ENDPOINT
    return Objective.DISTRIBUTION


def _objective(asked: Any, method: Method, card: ModelCard) -> Any:
    """Raises SearchRefused here already: the search itself would find out later."""
    if asked is None:
        return default_objective(method, card)
    if asked != Objective.ENDPOINT and default_objective(method, card) is Objective.ENDPOINT:
        why = (
            "the method dss knows no other"
            if method is Method.DSS
            else f"{card.name} ships no critic for another"
        )
        raise SearchRefused(f"must be endpoint: {why}")
    return asked
