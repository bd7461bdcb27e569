"""Searches on models that were added from published checkpoints: DDPM and flow, all networks."""

from pathlib import Path

import pytest
import torch

from diffusion_core.conversion import Addition, add_model
from diffusion_core.model import load_model
from diffusion_core.select import SolverSelector
from search_jobs.run import SearchResources, run_spec
from search_jobs.spec import Method, Objective, SearchSpec
from solver_store.importing import import_published
from solver_store.store import SolverStore
from tests.diffusion_core.conversion.small import small, trained
from tests.search_jobs.test_run import Direct


def resources_of(family: str, folder: Path) -> SearchResources:
    """A network of the family in small, added from a checkpoint file."""
    network = trained(small(family).architecture, std=0.1)
    torch.save({"ema": network.state_dict()}, folder / "file.pt")
    added = add_model(folder / "models", Addition(small(family), folder / "file.pt", "mine"))
    store = SolverStore.open(f"sqlite:///{folder / 'store.db'}")
    import_published(store)
    model = load_model(added, torch.device("cpu"))
    return SearchResources(model, added, store, folder / "job", folder / "cache")


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("family", ["dit-xl-2-256", "sit-xl-2-256", "flowdcn-xl-2-256"])
def test_a_search_on_an_added_model_ends_in_a_table_that_it_can_run(
    tmp_path: Path, family: str, method: Method
) -> None:
    resources = resources_of(family, tmp_path)
    control = Direct(resources.store)
    spec = SearchSpec(
        model="mine", steps=(3,), guidance_scale=1.5, method=method,
        objective=Objective.ENDPOINT, budget=20_000,
    )  # fmt: skip
    run_spec(spec, resources, control)
    result = control.results[3]
    version = resources.store.get(result.solver.name, result.solver.version)
    [evidence] = version.evidence
    assert evidence.metrics["endpoint_rmse"] > 0
    assert "frechet_distance" not in evidence.metrics  # nobody judges ImageNet here
    selected = SolverSelector(resources.store).select(
        f"sha256:{version.digest}", resources.model.card, 3, 1.5
    )
    assert selected.digest == version.digest
