"""What a worker opens for a job: the model that the server means by its name."""

from contextlib import closing
from pathlib import Path

from search_jobs.resources import open_resources
from search_jobs.run import SearchResources
from search_jobs.settings import WorkerSettings
from solver_store.store import SolverStore
from tests.fakes import write_tiny_model


def opened(home: Path, model: str, *named: str) -> SearchResources:
    settings = WorkerSettings(home=home, device="cpu", threads=1, models=named)
    with closing(SolverStore.open(settings.database)) as store:
        return open_resources(model, store, settings, settings.workspace("job"))


def test_a_model_that_was_loaded_after_the_start_is_found(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "models", "added")
    assert opened(tmp_path, "added", "glyphs").model.card.name == "added"


def test_another_broken_model_does_not_matter(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "models", "tiny")
    (tmp_path / "models" / "broken").mkdir()
    (tmp_path / "models" / "broken" / "card.json").write_text("{")
    assert opened(tmp_path, "tiny").model.card.name == "tiny"
