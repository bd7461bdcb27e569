"""Search the solvers that ship with the bundled model, by the very jobs that a server runs."""

import json
from contextlib import closing
from pathlib import Path

import torch

from diffusion_core.files import write_atomically
from diffusion_core.host import keep_freed_memory
from diffusion_core.model import ModelFolder, load_model
from search_jobs.local_run import LocalControl
from search_jobs.run import SearchResources, run_spec
from search_jobs.spec import Objective, SearchSpec
from solver_store.importing import import_published
from solver_store.shipped import SHIPPED_SOLVERS, ShippedSolver
from solver_store.store import SolverStore

from .siblings import Sibling


def search_solvers(
    sibling: Sibling,
    steps: tuple[int, ...],
    guidance_scale: float | None,
    objective: Objective,
    budget: int,
) -> None:
    """Search step count after step count; each is written as soon as it is found."""
    keep_freed_memory()
    folder = ModelFolder.read(sibling.bundle)
    card = folder.card
    scale = card.default_guidance_scale if guidance_scale is None else guidance_scale
    model = load_model(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    home = sibling.work / "solvers"
    with closing(SolverStore.open(f"sqlite:///{home / 'store.db'}")) as store:
        import_published(store)
        for count in steps:
            spec = SearchSpec(
                model=card.name,
                steps=(count,),
                guidance_scale=scale,
                objective=objective,
                budget=budget,
            )
            workspace = home / f"{objective.value}-g{scale:g}-{count}-{budget}"
            workspace.mkdir(parents=True, exist_ok=True)
            resources = SearchResources(model, folder, store, workspace, home / "cache")
            control = LocalControl(store, workspace / "results.json")
            with control.bar:
                run_spec(spec, resources, control)
            write_shipped(store, card.name, sibling.bundle / SHIPPED_SOLVERS)


def write_shipped(store: SolverStore, model: str, folder: Path) -> None:
    """Every version that an alias points at, as a file; of a name without any, the newest.

    Such a one has won nothing, and `auto` does not take it; its evidence says how near it came.
    """
    for entry in store.solvers(model):
        assert entry.target is not None
        versions = store.versions(entry.name)
        for version in versions:
            held = tuple(a for a, number in entry.aliases.items() if number == version.version)
            path = folder / f"{entry.name}-v{version.version}.json"
            if held or (not entry.aliases and version is versions[-1]):
                shipped = ShippedSolver.of(version, entry.target, held)
                text = json.dumps(shipped.as_dict(), indent=1) + "\n"
                write_atomically(text.encode(), path)
            else:
                path.unlink(missing_ok=True)
