"""One job from its claim to its end, in this process."""

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from search_jobs import job as job_module
from search_jobs import job_control
from search_jobs.control import Control
from search_jobs.errors import JobCancelled, LeaseLost
from search_jobs.job import perform
from search_jobs.job_control import JobControl
from search_jobs.job_store import JobStore
from search_jobs.job_writes import Claim
from search_jobs.settings import WorkerSettings
from search_jobs.spec import JobState, Progress
from solver_store.errors import StoreUnavailable
from solver_store.store import SolverStore
from tests.search_jobs.builders import outcome, spec
from tests.search_jobs.quick_search import Mishap, quick_search, shade_of
from tests.service.live import wait_until
from tests.solver_store.builders import euler, nothing_changes

NAME = "glyphs-g2.2-2"
Search = Callable[[Control], None]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEWSTEP_HOME", str(tmp_path))
    monkeypatch.setattr(job_control, "LOOK_S", 0.01)
    return tmp_path


@pytest.fixture
def records(sqlite_store: SolverStore) -> JobStore:
    return JobStore(sqlite_store.database)


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> Callable[[Search], None]:
    """Search like this."""

    def set_search(search: Search) -> None:
        def with_control(
            claim: Claim, store: SolverStore, settings: WorkerSettings, control: Control
        ) -> None:
            search(control)

        monkeypatch.setattr(job_module, "search", with_control)

    return set_search


def job_of(records: JobStore) -> str:
    (job,) = records.jobs()
    return job.id


def submitted(records: JobStore, seed: int = 0) -> str:
    return records.submit(spec(steps=(2, 3), budget=100, seed=seed))[0].id


def test_a_job_ends_in_published_versions(
    records: JobStore, sqlite_store: SolverStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "search", quick_search)
    job_id = submitted(records)
    perform(job_id, "worker")
    done = records.get(job_id)
    assert (done.state, done.error) == (JobState.SUCCEEDED, None)
    assert [result.steps for result in done.results] == [2, 3]
    assert sqlite_store.by_alias(NAME).table == euler(2, shade_of(0, 100))
    assert (done.progress.fraction, done.progress.stage) == (1.0, "done")
    kinds = [event.kind for event in records.events(job_id)]
    assert kinds[:3] == ["queued", "started", "progress"]
    assert kinds[-2:] == ["progress", "finished"]
    with nothing_changes(sqlite_store):
        perform(job_id, "worker")  # a message that came twice
    assert records.get(job_id) == done


@pytest.mark.parametrize(
    ("mishap", "reason"),
    [
        (Mishap.DIVERGED, "the loss is nan after 3 iterations"),
        (Mishap.DISK_FULL, "No space left on device: /data/5.safetensors"),
        (Mishap.BROKEN, "RuntimeError: mat1 and mat2 cannot be multiplied"),
        (Mishap.CROWDED, "memory ran out: CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
)
def test_a_failed_job_says_why_and_keeps_its_checkpoint(
    records: JobStore,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mishap: Mishap,
    reason: str,
) -> None:
    monkeypatch.setattr(job_module, "search", quick_search)
    job_id = submitted(records, mishap)
    perform(job_id, "worker")
    failed = records.get(job_id)
    assert (failed.state, failed.error) == (JobState.FAILED, reason)
    [logged] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert reason in logged.getMessage()
    assert (not logged.exc_info) == (mishap is Mishap.DIVERGED), "ours need no traceback"
    assert (home / "searches" / job_id / "pid").exists()


def test_a_message_for_a_job_that_is_not_there_is_dropped(records: JobStore) -> None:
    perform("20261123-0123456789", "worker")
    assert records.jobs() == []


def test_a_model_that_the_worker_does_not_have_is_named(records: JobStore) -> None:
    job_id = records.submit(spec(model="none-such"))[0].id
    perform(job_id, "worker")
    error = records.get(job_id).error
    assert error is not None
    assert "no model 'none-such'; at hand: " in error


def test_a_database_that_is_locked_during_the_search_costs_time_and_nothing_else(
    records: JobStore, searching: Callable[[Search], None]
) -> None:
    num_calls = 0

    def search(control: Control) -> None:
        nonlocal num_calls
        num_calls += 1
        if num_calls == 1:
            raise StoreUnavailable("database is locked")
        control.publish(outcome())

    searching(search)
    job_id = submitted(records)
    perform(job_id, "worker")
    assert records.get(job_id).state == JobState.SUCCEEDED


def test_publishing_waits_for_a_locked_database(records: JobStore, home: Path) -> None:
    job, _ = records.submit(spec())
    claim = records.claim(job.id, "worker")
    assert claim is not None
    with closing(SolverStore.open(f"sqlite:///{home}/fewstep.db", timeout_s=0.01)) as hurried:
        control = JobControl(JobStore(hurried.database), claim)
        publishing = threading.Thread(target=lambda: control.publish(outcome()))
        with records.database.writing():
            publishing.start()
            publishing.join(0.2)
            assert publishing.is_alive()
        publishing.join(10)
    assert len(records.get(job.id).results) == 1


def test_a_cancelled_search_is_told_so_whatever_it_does(
    records: JobStore, sqlite_store: SolverStore, searching: Callable[[Search], None]
) -> None:
    ended = []

    def search(control: Control) -> None:
        records.cancel(job_of(records))
        for act in (
            lambda: control.report(Progress(fraction=0.5)),
            control.should_stop,
            lambda: control.publish(outcome()),
            lambda: control.result(3),
        ):
            wait_until(partial(raises, act, JobCancelled))
            ended.append(act)
        act()

    searching(search)
    job_id = submitted(records)
    with nothing_changes(sqlite_store):
        perform(job_id, "worker")
    assert records.get(job_id).state == JobState.CANCELLED
    assert len(ended) == 4


def raises(act: Callable[[], object], error: type[Exception]) -> bool:
    try:
        act()
    except error:
        return True
    return False


def test_whoever_was_overtaken_ends_and_says_nothing(
    records: JobStore, sqlite_store: SolverStore, searching: Callable[[Search], None]
) -> None:
    def search(control: Control) -> None:
        records.free("worker")
        assert records.claim(job_of(records), "other") is not None
        wait_until(lambda: raises(control.should_stop, LeaseLost))
        control.publish(outcome())

    searching(search)
    job_id = submitted(records)
    with nothing_changes(sqlite_store):
        perform(job_id, "worker")
    job = records.get(job_id)
    assert (job.state, job.error) == (JobState.RUNNING, None)


def test_a_failure_after_the_lease_was_lost_is_nobodys(
    records: JobStore, searching: Callable[[Search], None]
) -> None:
    def search(control: Control) -> None:
        records.free("worker")
        raise RuntimeError("too late")

    searching(search)
    job_id = submitted(records)
    perform(job_id, "worker")
    assert records.get(job_id).state == JobState.QUEUED


@pytest.mark.parametrize("has_found", [False, True])
def test_a_job_stopped_before_it_has_found_anything_is_cancelled(
    records: JobStore, searching: Callable[[Search], None], has_found: bool
) -> None:
    def search(control: Control) -> None:
        if has_found:
            control.publish(outcome())
        records.stop(job_of(records))
        wait_until(control.should_stop)

    searching(search)
    job_id = submitted(records)
    perform(job_id, "worker")
    job = records.get(job_id)
    assert job.state == (JobState.SUCCEEDED if has_found else JobState.CANCELLED)
    assert job.error is None
    assert records.events(job_id)[-1].kind == "finished"


def test_a_job_tells_that_it_has_begun_before_it_loads_anything(
    records: JobStore, searching: Callable[[Search], None]
) -> None:
    told: list[Progress] = []

    def search(control: Control) -> None:
        told.append(records.get(job_of(records)).progress)
        control.publish(outcome())
        control.report(Progress(fraction=0.5, steps=2, stage="search"))
        if len(told) == 1:
            raise LeaseLost("its process ends here")

    searching(search)
    job_id = submitted(records)
    perform(job_id, "worker")
    assert [event.kind for event in records.events(job_id)][1:3] == ["started", "progress"]
    records.free("worker")
    perform(job_id, "other")
    first, second = told
    assert (first.stage, first.steps, first.fraction) == ("teacher", 2, 0.0)
    assert (second.stage, second.steps) == ("teacher", 3), "2 is published already"


def test_a_job_that_goes_on_begins_with_the_fraction_that_it_had(
    records: JobStore, searching: Callable[[Search], None]
) -> None:
    job_id = submitted(records)
    claim = records.claim(job_id, "worker")
    assert claim is not None
    records.report(claim, Progress(fraction=0.5, steps=2, stage="search"))
    records.free("worker")
    fractions: list[float] = []
    searching(lambda control: fractions.append(records.get(job_id).progress.fraction))
    perform(job_id, "other")
    assert fractions == [0.5]
