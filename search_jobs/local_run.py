"""`python -m search_jobs run spec.json`: one search here and now, without server or Redis.

On several GPUs, each of which takes its share of every batch (distributed.py):

    torchrun --nproc-per-node 2 -m search_jobs run spec.json
"""

import hashlib
import json
import shutil
import sys
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from rich.text import Text

from diffusion_core.card import ModelCard
from diffusion_core.files import write_atomically
from diffusion_core.model import get_model
from diffusion_core.registry import choose_models, models_at_hand
from solver_store.importing import import_published
from solver_store.shipped import import_shipped
from solver_store.store import SolverStore

from .control import StepOutcome
from .defaults import completed
from .distributed import Follower, together
from .errors import SearchRefused
from .patience import patiently
from .publishing import publish_outcome
from .resources import open_resources
from .run import SearchResources, run_spec
from .search import Shard
from .settings import WorkerSettings
from .spec import Progress, SearchSpec, StepResult


def run_here(file: Path, settings: WorkerSettings) -> None:
    """Search, with a progress line; publishes into the store.

    Raises SearchRefused for a spec that breaks a rule, and whatever ends a search.
    """
    with together(settings) as settings:
        shard = Shard.current()
        spec = shard.of_first(read_spec, file, settings)
        workspace = settings.workspace(f"run-{_digest(spec)}")
        with closing(SolverStore.open(settings.database)) as store:
            resources = open_resources(spec.model, store, settings, workspace)
            if shard.is_first:
                _lead(spec, resources)
            else:
                run_spec(spec, resources, Follower())


def _lead(spec: SearchSpec, resources: SearchResources) -> None:
    import_published(resources.store)
    import_shipped(resources.store, resources.folder.path, resources.model.digest)
    control = LocalControl(resources.store, resources.workspace / "results.json")
    try:
        with control.bar:
            run_spec(spec, resources, control)
    except KeyboardInterrupt:
        print(f"Its checkpoint is kept in {resources.workspace}.", file=sys.stderr)
        print("The same command goes on from there.", file=sys.stderr)
        raise
    _print_results(spec, control)
    shutil.rmtree(resources.workspace, ignore_errors=True)


def read_spec(file: Path, settings: WorkerSettings) -> SearchSpec:
    """What `POST /search-jobs` takes, with the same defaults.

    Raises SearchRefused, with the rule that it breaks, ModelNotFound, ModelInvalid and OSError.
    """
    try:
        asked = json.loads(file.read_bytes())
    except ValueError as error:
        raise SearchRefused(f"{file} is no JSON: {error}") from None
    if not isinstance(asked, dict):
        raise SearchRefused(f"{file}: must be an object")
    card = _find_card(asked.get("model"), settings)
    try:
        return SearchSpec.model_validate(completed(asked, card))
    except SearchRefused as error:
        raise SearchRefused(f"{file}: objective {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SearchRefused(f"{file}: {place and place + ': '}{first['msg']}") from None


def _find_card(name: object, settings: WorkerSettings) -> ModelCard:
    """Without a name, of the model that a server with these settings takes first."""
    if not name:
        return choose_models(settings.home, settings.models)[0].card
    return get_model(models_at_hand(settings.home, settings.models), str(name)).card


class LocalControl:
    """Tells a terminal instead of a database; what it has published is a file in the workspace."""

    def __init__(self, store: SolverStore, results_file: Path) -> None:
        self._store = store
        self._results_file = results_file
        self.bar = ProgressBar(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
            console=Console(stderr=True),
        )
        self._task = self.bar.add_task("waiting", total=1.0, told="")

    def report(self, progress: Progress) -> None:
        steps = "" if progress.steps is None else f"{progress.steps} steps · "
        self.bar.update(
            self._task,
            completed=progress.fraction,
            description=f"{steps}{progress.stage}",
            told=_told(progress),
        )

    def should_stop(self) -> bool:
        return False

    def result(self, steps: int) -> StepResult | None:
        return self.results().get(steps)

    def publish(self, outcome: StepOutcome) -> StepResult:
        def publish() -> StepResult:
            with self._store.database.writing() as connection:
                return publish_outcome(connection, outcome, by="search_jobs run")

        result = patiently(publish)
        results = [*self.results().values(), result]
        text = json.dumps([entry.model_dump(mode="json") for entry in results])
        write_atomically(text.encode(), self._results_file)
        return result

    def results(self) -> dict[int, StepResult]:
        """What was published, by step count."""
        if not self._results_file.exists():
            return {}
        entries = json.loads(self._results_file.read_bytes())
        results = [StepResult.model_validate(entry) for entry in entries]
        return {result.steps: result for result in results}


def _told(progress: Progress) -> str:
    parts = []
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4g}")
    if progress.eta_s is not None:
        minutes, seconds = divmod(round(progress.eta_s), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return " · ".join(parts)


def _print_results(spec: SearchSpec, control: LocalControl) -> None:
    table = Table("steps", "solver", "promoted to", "why", box=None)
    for steps in spec.steps:
        result = control.results()[steps]
        solver = f"{result.solver.name}/{result.solver.version}"
        table.add_row(str(steps), solver, ", ".join(result.promoted) or "-", Text(result.decision))
    Console().print(table)


def _digest(spec: SearchSpec) -> str:
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:12]
