"""Blank networks: the names and shapes of real ones, at no cost."""

import subprocess
import sys

import pytest

from diffusion_core.card import Architecture, DiTArchitecture, FlowDCNArchitecture
from diffusion_core.networks.blank import blank

SIZES = {
    "input_size": 8,
    "patch_size": 2,
    "in_channels": 3,
    "hidden_size": 16,
    "depth": 2,
    "num_classes": 4,
}
ARCHITECTURES = [
    DiTArchitecture(network="dit", num_heads=2, **SIZES),
    FlowDCNArchitecture(network="flowdcn", num_groups=4, **SIZES),
]
BUILD_BLANK = """
import sys
from diffusion_core.card import Architecture
from diffusion_core.networks.blank import blank
from pydantic import TypeAdapter

with blank():
    TypeAdapter(Architecture).validate_json(sys.argv[1]).build()
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.network)
def test_a_blank_network_has_the_names_and_shapes_of_a_real_one(architecture: Architecture) -> None:
    with blank():
        network = architecture.build()
    expected = {name: tensor.shape for name, tensor in architecture.build().state_dict().items()}
    found = network.state_dict()
    assert {name: tensor.shape for name, tensor in found.items()} == expected
    assert all(parameter.is_meta for parameter in network.parameters() if parameter.ndim == 2)


def test_what_is_built_afterwards_is_initialised() -> None:
    [architecture, _] = ARCHITECTURES
    with blank():
        architecture.build()
    assert architecture.build().state_dict()["t_embedder.mlp.0.weight"].std() > 0.01


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.network)
def test_a_blank_network_does_not_import_the_compiler(architecture: Architecture) -> None:
    command = [sys.executable, "-c", BUILD_BLANK, architecture.model_dump_json()]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
