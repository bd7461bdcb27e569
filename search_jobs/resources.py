"""What a search works with, opened from the settings of its process."""

from pathlib import Path

import torch

from diffusion_core.host import keep_freed_memory
from diffusion_core.model import get_model, load_model
from diffusion_core.registry import find_device, models_at_hand
from solver_store.store import SolverStore

from .errors import SearchRefused
from .run import SearchResources
from .settings import WorkerSettings


def open_resources(
    model: str, store: SolverStore, settings: WorkerSettings, workspace: Path
) -> SearchResources:
    """Raises ModelNotFound, ModelInvalid, SearchRefused where the device is not there, OSError."""
    device = find_device(settings.device, SearchRefused)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    keep_freed_memory()
    folder = get_model(models_at_hand(settings.home, settings.models), model)
    workspace.mkdir(parents=True, exist_ok=True)
    settings.cache.mkdir(parents=True, exist_ok=True)
    return SearchResources(
        model=load_model(folder, device),
        folder=folder,
        store=store,
        workspace=workspace,
        cache=settings.cache,
    )
