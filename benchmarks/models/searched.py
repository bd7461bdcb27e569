"""Models at hand, and the tables that were searched on them at their default guidance scales."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from diffusion_core.errors import TableMismatch
from diffusion_core.model import ModelFolder, load_model
from diffusion_core.program import compile_program
from diffusion_core.registry import find_device, find_model
from search_jobs.evaluate import Contender, Subject
from search_jobs.settings import WorkerSettings
from solver_store.records import CHAMPION, FAITHFUL, SolverVersion, Target
from solver_store.shipped import SHIPPED_SOLVERS, ShippedSolver
from solver_store.store import SolverStore
from solver_store.table import SolverTable

from ..processes import BenchmarkError
from .comparison import Home

MIN_MODELS = 2  # of a transfer


@dataclass(frozen=True)
class Searched:
    """A model that is not loaded yet, and its tables by their number of steps."""

    folder: ModelFolder
    tables: Mapping[int, SolverTable]

    @property
    def name(self) -> str:
        return self.folder.card.name

    @property
    def target(self) -> Target:
        return _target(self.folder)

    def load(self) -> Subject:
        """Raises ModelInvalid, ModelTooLarge."""
        model = load_model(self.folder, find_device("auto", BenchmarkError))
        return Subject.of_model(model, self.folder, self.target.guidance_scale)

    def home(self, subject: Subject, steps: int) -> Home:
        """Of one table; `subject` is what `load` gave."""
        searched = Contender(self.target.solver_name(steps), self.tables[steps])
        return Home(subject, self.folder.card.default_solver, searched)


def find_searched(
    names: Sequence[str], steps: Sequence[int], settings: WorkerSettings
) -> list[Searched]:
    """Every model with a table of every number of steps, before any of them is loaded.

    Raises BenchmarkError, with the searches that are missing, ModelNotFound, ModelInvalid,
    StoreError.
    """
    folders = [find_model(settings.home, settings.models, name) for name in names]
    found = [Searched(folder, _tables(folder, steps, settings)) for folder in folders]
    missing = [_refusal(one, lacking) for one in found if (lacking := _lacking(one.tables, steps))]
    if missing:
        raise BenchmarkError("\n".join(missing))
    return found


def check_transfer(searched: Sequence[Searched], steps: Iterable[int]) -> None:
    """Every table must be able to drive every network. Raises BenchmarkError."""
    if len({one.name for one in searched}) < MIN_MODELS:
        raise BenchmarkError("a table is carried from one model to another: name two or more")
    for count in steps:
        for guest in searched:
            for home in searched:
                try:
                    compile_program(guest.tables[count], home.folder.card.kind)
                except TableMismatch as error:
                    raise BenchmarkError(f"{guest.name} on {home.name}: {error}") from error


def _lacking(tables: Mapping[int, SolverTable], steps: Iterable[int]) -> list[str]:
    return [str(count) for count in steps if count not in tables]


def _refusal(searched: Searched, lacking: Sequence[str]) -> str:
    there = ", ".join(map(str, sorted(searched.tables))) or "none"
    scale = searched.target.guidance_scale
    return (
        f"no table of {', '.join(lacking)} steps was searched on {searched.name} at guidance "
        f"{scale:g} (there are: {there}); beside a running server, this makes them: "
        f"./run search {searched.name} --steps {','.join(lacking)} --follow"
    )


def _target(folder: ModelFolder) -> Target:
    return Target(folder.card.name, folder.card.default_guidance_scale)


def _tables(
    folder: ModelFolder, steps: Iterable[int], settings: WorkerSettings
) -> dict[int, SolverTable]:
    """Those that ship with a model come before those of the data folder's own searches."""
    shipped = _shipped(folder)
    return _stored(folder, settings) | shipped if _lacking(shipped, steps) else shipped


def _shipped(folder: ModelFolder) -> dict[int, SolverTable]:
    """Raises RecordError."""
    files = sorted((folder.path / SHIPPED_SOLVERS).glob("*.json"))
    solvers = [ShippedSolver.read(file) for file in files]
    own = [solver for solver in solvers if solver.target == _target(folder)]
    # The later win: what is served, then what is nearest to the converged solution.
    own.sort(key=lambda solver: (CHAMPION in solver.aliases, FAITHFUL in solver.aliases))
    return {solver.table.nfe: solver.table for solver in own}


def _stored(folder: ModelFolder, settings: WorkerSettings) -> dict[int, SolverTable]:
    """What searches have found on these weights. Raises StoreError."""
    if settings.database.startswith("sqlite:") and not _has_file(settings.database):
        return {}  # nothing was ever searched, and nothing is to be made here
    digest = folder.card.weights_sha256 or folder.weights_digest
    tables: dict[int, SolverTable] = {}
    with closing(SolverStore.open(settings.database)) as store:
        for entry in store.solvers(folder.card.name):
            if entry.target != _target(folder):
                continue
            versions = [v for v in store.versions(entry.name) if _is_about(v, digest)]
            aliases = dict(entry.aliases)
            versions.sort(key=lambda v: [aliases.get(a) == v.version for a in (CHAMPION, FAITHFUL)])
            tables |= {version.table.nfe: version.table for version in versions}
    return tables


def _has_file(url: str) -> bool:
    return Path(url.removeprefix("sqlite:///")).is_file()


def _is_about(version: SolverVersion, digest: str) -> bool:
    """Whether it was measured on these weights: a name may have had others before."""
    return any(entry.model_digest == digest for entry in version.evidence)
