"""What a running search holds on to, where it is a job in the database."""

from collections.abc import Iterator

import pytest

from search_jobs import job_control
from search_jobs.job_control import JobControl
from search_jobs.job_store import JobStore
from search_jobs.spec import Progress
from solver_store.store import SolverStore
from tests.search_jobs.builders import outcome, promotion, spec
from tests.service.live import wait_until


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_control, "LOOK_S", 0.01)


@pytest.fixture
def records(sqlite_store: SolverStore) -> JobStore:
    return JobStore(sqlite_store.database)


@pytest.fixture
def control(records: JobStore) -> Iterator[JobControl]:
    job, _ = records.submit(spec(steps=(2, 3)))
    claim = records.claim(job.id, "worker")
    assert claim is not None
    with JobControl(records, claim) as opened:
        yield opened


def job_of(records: JobStore) -> str:
    (job,) = records.jobs()
    return job.id


def test_a_search_hears_that_it_is_to_stop(records: JobStore, control: JobControl) -> None:
    assert not control.should_stop()
    records.stop(job_of(records))
    wait_until(control.should_stop)


def test_reports_are_thinned_out_but_for_the_first_and_the_last(
    records: JobStore, control: JobControl
) -> None:
    for n in range(1000):
        control.report(Progress(fraction=n / 1000))
    control.tell_that_all_is_done()
    told = [
        event.data["fraction"]
        for event in records.events(job_of(records))
        if event.kind == "progress"
    ]
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert len(told) < 50


def test_the_newest_progress_is_told_without_being_asked(
    records: JobStore, control: JobControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.report(Progress(fraction=0.1))
    control.report(Progress(fraction=0.2))
    wait_until(lambda: records.get(job_of(records)).progress.fraction == 0.2)


def test_a_new_stage_is_told_at_once(records: JobStore, control: JobControl) -> None:
    for stage in ("teacher", "search", "evaluation"):
        control.report(Progress(stage=stage))
        assert records.get(job_of(records)).progress.stage == stage


def test_whoever_takes_a_job_over_knows_how_far_it_has_come(records: JobStore) -> None:
    job, _ = records.submit(spec())
    first = records.claim(job.id, "worker")
    assert first is not None
    records.report(first, Progress(fraction=0.5))
    records.report(first, Progress(fraction=0.25))
    records.free("worker")
    second = records.claim(job.id, "other")
    assert second is not None
    with JobControl(records, second) as control:
        assert control.furthest == 0.5
        control.report(Progress(fraction=0.75))
        assert control.furthest == 0.75


def test_what_an_earlier_run_published_is_found(records: JobStore, control: JobControl) -> None:
    result = control.publish(outcome(promotions=(promotion(),)))
    assert control.result(2) == result
    assert control.result(3) is None
