"""What a search is for where nobody says so."""

import pytest

from diffusion_core.card import ModelCard
from diffusion_core.folders import BUNDLED_MODELS
from diffusion_core.model import find_models, get_model
from search_jobs.defaults import completed, default_objective
from search_jobs.errors import SearchRefused
from search_jobs.spec import Method, Objective, SearchSpec


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return get_model(find_models(BUNDLED_MODELS), "glyphs").card


@pytest.fixture(scope="module")
def blind(card: ModelCard) -> ModelCard:
    """A model that ships no critic."""
    return card.model_copy(update={"critic": None})


def test_a_model_with_a_critic_is_searched_for_images_like_real_ones(card: ModelCard) -> None:
    assert default_objective(Method.DSS_PLUS, card) is Objective.DISTRIBUTION


def test_without_a_critic_and_by_the_paper_s_method_the_ode_is_followed(
    card: ModelCard, blind: ModelCard
) -> None:
    assert default_objective(Method.DSS, card) is Objective.ENDPOINT
    assert default_objective(Method.DSS_PLUS, blind) is Objective.ENDPOINT


def test_step_counts_alone_make_a_spec(card: ModelCard) -> None:
    assert SearchSpec.model_validate(completed({"steps": 6, "seed": None}, card)) == SearchSpec(
        model="glyphs",
        steps=(6,),
        guidance_scale=1.3,
        method=Method.DSS_PLUS,
        objective=Objective.DISTRIBUTION,
        budget=120_000,
    )


def test_the_paper_s_search_has_a_budget_of_its_own(card: ModelCard) -> None:
    spec = SearchSpec.model_validate(completed({"steps": [6], "method": "dss"}, card))
    assert (spec.objective, spec.budget) == (Objective.ENDPOINT, 480_000)


@pytest.mark.parametrize("objective", list(Objective))
def test_what_is_asked_for_is_kept(card: ModelCard, objective: Objective) -> None:
    asked = {"steps": (4, 5), "objective": objective.value, "budget": 5000, "guidance_scale": 2.0}
    spec = SearchSpec.model_validate(completed(asked, card))
    assert (spec.steps, spec.objective, spec.budget) == ((4, 5), objective, 5000)
    assert spec.guidance_scale == 2.0


@pytest.mark.parametrize("objective", ["distribution", "mixture"])
def test_an_objective_that_cannot_be_had_is_refused(
    card: ModelCard, blind: ModelCard, objective: str
) -> None:
    with pytest.raises(SearchRefused, match="must be endpoint: the method dss"):
        completed({"steps": 6, "method": "dss", "objective": objective}, card)
    with pytest.raises(SearchRefused, match="must be endpoint: glyphs ships no critic"):
        completed({"steps": 6, "objective": objective}, blind)
