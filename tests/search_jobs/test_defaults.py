"""What a search is for where nobody says so."""

import pytest

from diffusion_core.card import ModelCard
from diffusion_core.folders import BUNDLED_MODELS
from diffusion_core.model import find_models, get_model
from search_jobs.defaults import default_objective, with_objective
from search_jobs.spec import Method, Objective, SearchSpec

GIVEN = {"model": "glyphs", "steps": [6], "guidance_scale": 1.3}


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return get_model(find_models(BUNDLED_MODELS), "glyphs").card


def test_a_model_with_a_critic_is_searched_for_images_like_real_ones(card: ModelCard) -> None:
    assert default_objective(Method.DSS_PLUS, card) is Objective.DISTRIBUTION


def test_without_a_critic_and_by_the_paper_s_method_the_ode_is_followed(card: ModelCard) -> None:
    assert default_objective(Method.DSS, card) is Objective.ENDPOINT
    blind = card.model_copy(update={"critic": None})
    assert default_objective(Method.DSS_PLUS, blind) is Objective.ENDPOINT


@pytest.mark.parametrize("objective", list(Objective))
def test_what_a_spec_says_is_kept(card: ModelCard, objective: Objective) -> None:
    spec = SearchSpec.model_validate(GIVEN | {"objective": objective.value})
    assert with_objective(spec, card) == spec


def test_a_spec_that_says_nothing_gets_the_default(card: ModelCard) -> None:
    spec = with_objective(SearchSpec.model_validate(GIVEN), card)
    assert spec.objective is Objective.DISTRIBUTION
