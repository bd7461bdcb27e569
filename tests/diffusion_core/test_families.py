"""The published families: sizes against the numbers of parameters that their authors give."""

import pytest

from diffusion_core.errors import FamilyUnknown
from diffusion_core.families import FAMILIES, get_family
from diffusion_core.networks.blank import blank

# Counted on the official networks; positions of DiT are parameters that are not trained.
NUM_PARAMETERS = {
    "dit-xl-2-256": 675_129_632,
    "dit-xl-2-512": 676_014_368,
    "sit-xl-2-256": 675_129_632,
    "flowdcn-s-2-256": 30_300_632,
    "flowdcn-b-2-256": 120_099_512,
    "flowdcn-l-2-256": 421_503_952,
    "flowdcn-xl-2-256": 618_948_120,
}


@pytest.mark.parametrize(("name", "count"), NUM_PARAMETERS.items())
def test_a_family_has_as_many_parameters_as_the_published_network(name, count) -> None:
    with blank():
        network = get_family(name).architecture.build()
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_all_sizes_patches_and_resolutions_are_there() -> None:
    assert len(FAMILIES) == 2 * 4 * 3 * 2 + 4 * 2
    assert {"dit-s-8-256", "sit-l-4-512", "flowdcn-l-2-512"} <= FAMILIES.keys()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_makes_a_card_that_keeps_the_rules(name) -> None:
    family = FAMILIES[name]
    card = family.card(name, family.architecture, decoder="sd-linear", weights="w.safetensors")
    assert len(set(card.classes)) >= 998  # two cranes and two maillots
    assert card.latent_shape[0] == 4


def test_an_unknown_family_is_refused_with_how_they_are_called() -> None:
    with pytest.raises(FamilyUnknown, match="sit-xl-2-256"):
        get_family("pixart")
