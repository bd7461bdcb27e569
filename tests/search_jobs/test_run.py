"""A spec becomes published versions: search, measurement, decision, on a tiny model."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from diffusion_core.classic import classical_table
from diffusion_core.model import load_model
from diffusion_core.select import SolverSelector
from search_jobs.assessment import Assessment, assess
from search_jobs.control import StepOutcome
from search_jobs.errors import JobCancelled, SearchRefused
from search_jobs.publishing import publish_outcome
from search_jobs.run import SearchResources, run_spec
from search_jobs.spec import Method, Objective, Progress, Promote, SearchSpec, StepResult
from solver_store.importing import import_published
from solver_store.records import Target
from solver_store.store import SolverStore
from tests.fakes import write_tiny_model

SPEC = SearchSpec(
    model="tiny", steps=(3,), guidance_scale=1.0, objective=Objective.ENDPOINT, budget=20_000
)


class Direct:
    """A control that publishes at once and keeps what it is told."""

    def __init__(self, store: SolverStore) -> None:
        self.store = store
        self.results: dict[int, StepResult] = {}
        self.heard: list[Progress] = []
        self.stop_at: int | None = None  # the iteration
        self.stop_from: str | None = None  # the stage

    def report(self, progress: Progress) -> None:
        self.heard.append(progress)

    def should_stop(self) -> bool:
        if not self.heard:
            return False
        last = self.heard[-1]
        return last.iteration == self.stop_at or last.stage == self.stop_from

    def result(self, steps: int) -> StepResult | None:
        return self.results.get(steps)

    def publish(self, outcome: StepOutcome) -> StepResult:
        with self.store.database.writing() as connection:
            result = publish_outcome(connection, outcome, by="test")
        self.results[outcome.steps] = result
        return result


@pytest.fixture
def resources(tmp_path: Path) -> SearchResources:
    folder = write_tiny_model(tmp_path)
    store = SolverStore.open(f"sqlite:///{tmp_path / 'store.db'}")
    import_published(store)
    return SearchResources(
        model=load_model(folder, torch.device("cpu")),
        folder=folder,
        store=store,
        workspace=tmp_path / "job",
        cache=tmp_path / "cache",
    )


def test_a_search_ends_in_the_version_that_auto_serves(resources: SearchResources) -> None:
    control = Direct(resources.store)
    run_spec(SPEC, resources, control)
    result = control.results[3]
    assert result.promoted == ("champion", "faithful"), result.decision
    selected = SolverSelector(resources.store).select("auto", resources.model.card, 3, 1.0)
    assert (selected.name, selected.version) == (result.solver.name, result.solver.version)
    assert selected.name == "tiny-g1-3"
    version = resources.store.get("tiny-g1-3", 1)
    assert version.source["kind"] == "searched"
    assert version.source["model_digest"] == resources.model.digest
    [evidence] = version.evidence
    rivals = evidence.details["rivals"]
    assert isinstance(rivals, list)
    errors = {rival["name"]: rival["metrics"]["endpoint_rmse"] for rival in rivals}
    assert evidence.metrics["endpoint_rmse"] < min(errors.values())
    assert {"ab2"} < errors.keys()


def test_a_target_that_has_a_name_already_keeps_it(resources: SearchResources) -> None:
    store, target = resources.store, Target("tiny", 1.0)
    imported = classical_table("euler", "rectified-flow", 3)
    store.publish("mine-3", imported, source={"kind": "imported"}, target=target)
    store.promote("mine-3", "champion", 1, expected=None, by="somebody")
    control = Direct(store)
    run_spec(SPEC, resources, control)
    result = control.results[3]
    assert (result.solver.name, result.solver.version) == ("mine-3", 2)
    assert result.promoted == ("champion", "faithful"), result.decision
    assert store.aliases("mine-3") == {"champion": 2, "faithful": 2}
    assert target.solver_name(3) not in [summary.name for summary in store.solvers()]


def test_what_the_job_has_published_already_is_not_searched_again(
    resources: SearchResources,
) -> None:
    control = Direct(resources.store)
    run_spec(SPEC, resources, control)
    again = Direct(resources.store)
    again.results = dict(control.results)
    run_spec(SPEC, resources, again)
    assert not again.heard
    assert len(resources.store.versions("tiny-g1-3")) == 1


def test_a_job_that_goes_on_tells_no_lower_fraction_than_before(
    resources: SearchResources,
) -> None:
    control = Direct(resources.store)
    run_spec(SPEC.model_copy(update={"budget": 2_000}), resources, control, furthest=0.5)
    assert control.heard[0].fraction == 0.5
    assert control.heard[-1].fraction > 0.9


def test_told_not_to_promote_it_only_publishes(resources: SearchResources) -> None:
    control = Direct(resources.store)
    spec = SPEC.model_copy(update={"promote": Promote.NEVER, "budget": 4_000})
    run_spec(spec, resources, control)
    assert control.results[3].promoted == ()
    assert resources.store.aliases("tiny-g1-3") == {}


def test_stopped_it_publishes_the_best_so_far(resources: SearchResources) -> None:
    control = Direct(resources.store)
    control.stop_at = 4
    run_spec(SPEC, resources, control)
    assert resources.store.get("tiny-g1-3", 1).source["iterations"] == 4


def test_stopped_it_leaves_out_the_step_counts_that_have_not_begun(
    resources: SearchResources,
) -> None:
    control = Direct(resources.store)
    control.stop_at = 4
    run_spec(SPEC.model_copy(update={"steps": (3, 4, 5)}), resources, control)
    assert list(control.results) == [3]
    assert {progress.steps for progress in control.heard} == {3}


def test_stopped_before_a_descent_it_publishes_nothing(resources: SearchResources) -> None:
    control = Direct(resources.store)
    control.stop_from = "teacher"
    run_spec(SPEC.model_copy(update={"steps": (3, 4)}), resources, control)
    assert control.results == {}
    assert len(control.heard) == 1, "the teacher ends at its first block"


class Interrupted(Exception):
    pass


class Dying(Direct):
    """Its process ends during the descent."""

    def should_stop(self) -> bool:
        if self.heard and self.heard[-1].stage == "search":
            raise Interrupted
        return False


def test_a_descent_that_has_begun_before_its_stop_and_a_restart_is_published(
    resources: SearchResources,
) -> None:
    with pytest.raises(Interrupted):
        run_spec(SPEC, resources, Dying(resources.store))
    control = Direct(resources.store)
    control.should_stop = lambda: True  # type: ignore[method-assign]
    run_spec(SPEC.model_copy(update={"steps": (3, 4)}), resources, control)
    assert list(control.results) == [3]


def test_a_worse_candidate_stays_a_version(resources: SearchResources) -> None:
    run_spec(SPEC, resources, Direct(resources.store))
    short = Direct(resources.store)
    spec = SPEC.model_copy(update={"budget": 4_000, "method": Method.DSS})
    run_spec(spec, replace(resources, workspace=resources.workspace / "another"), short)
    result = short.results[3]
    assert result.promoted == ()
    assert "not champion" in result.decision.lower()
    assert resources.store.aliases("tiny-g1-3") == {"champion": 1, "faithful": 1}
    assert result.solver.version == 2


def test_a_model_without_a_critic_cannot_be_searched_for_its_distribution(
    resources: SearchResources,
) -> None:
    spec = SPEC.model_copy(update={"objective": Objective.DISTRIBUTION})
    with pytest.raises(SearchRefused, match="needs a critic"):
        run_spec(spec, resources, Direct(resources.store))


class Cancelled(Direct):
    """Its job is cancelled where measuring begins."""

    def report(self, progress: Progress) -> None:
        super().report(progress)
        if progress.stage == "evaluation":
            raise JobCancelled("it was cancelled")


def test_a_job_that_is_cancelled_while_it_is_measured_publishes_nothing(
    resources: SearchResources,
) -> None:
    control = Cancelled(resources.store)
    with pytest.raises(JobCancelled):
        run_spec(SPEC.model_copy(update={"budget": 4_000}), resources, control)
    assert control.results == {}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "memory ran out: CUDA out of memory."),
        (SearchRefused("tiny has no finite end"), "tiny has no finite end"),
        (OSError(errno.ENOSPC, "No space left on device", "/x.json"), "No space left on device"),
        (ValueError("array must not contain infs"), "ValueError: array must not contain infs"),
    ],
)
def test_what_cannot_be_measured_is_published_unmeasured_and_the_next_one_measured(
    resources: SearchResources, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def failing_at_3(*arguments: Any, **named: Any) -> Assessment:
        if arguments[3].nfe == 3:
            raise error
        return assess(*arguments, **named)

    monkeypatch.setattr("search_jobs.run.assess", failing_at_3)
    control = Direct(resources.store)
    run_spec(SPEC.model_copy(update={"steps": (3, 4), "budget": 4_000}), resources, control)
    assert control.results[3].decision.startswith(f"Not measured, so nothing is promoted: {reason}")
    assert (control.results[3].promoted, control.results[3].evidence) == ((), {})
    version = resources.store.get("tiny-g1-3", 1)
    assert version.evidence == ()
    assert version.source["evaluations"] > 0
    assert resources.store.aliases("tiny-g1-3") == {}
    assert control.results[4].evidence


def test_what_no_process_has_survived_is_not_measured_again(resources: SearchResources) -> None:
    control = Direct(resources.store)
    spec = SPEC.model_copy(update={"steps": (3, 4), "budget": 4_000})
    run_spec(spec, resources, control, unmeasured=3)
    assert "no process has survived measuring it" in control.results[3].decision
    assert (control.results[3].promoted, control.results[3].evidence) == ((), {})
    assert control.results[4].evidence


def test_it_says_that_it_measures_before_it_asks_the_network(
    resources: SearchResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first forward may be the one that the process does not survive."""
    told: list[str] = []
    control = Direct(resources.store)

    def look(*arguments: Any, **named: Any) -> Assessment:
        told.append(control.heard[-1].stage)
        return assess(*arguments, **named)

    monkeypatch.setattr("search_jobs.run.assess", look)
    run_spec(SPEC.model_copy(update={"budget": 4_000}), resources, control)
    assert told == ["evaluation"]
