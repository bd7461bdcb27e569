"""The contract of the jobs' records; every test runs on SQLite and on PostgreSQL."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from search_jobs import job_store
from search_jobs.errors import JobCancelled, JobFinished, JobNotFound, KeyReused, LeaseLost
from search_jobs.job_store import MAX_ATTEMPTS, JobStore
from search_jobs.job_writes import Claim, Waiting
from search_jobs.spec import JobState, Progress
from solver_store.errors import NameMismatch, RecordError, StoreDamaged, StoreUnavailable
from solver_store.store import SolverStore
from tests.search_jobs.builders import outcome, promotion, spec
from tests.solver_store.builders import contents, euler, nothing_changes

NUM_RACERS = 4
NAME = "glyphs-g2.2-2"

Write = Callable[[JobStore, Claim], object]

WRITES: dict[str, Write] = {
    "renew": lambda jobs, claim: jobs.renew(claim),
    "report": lambda jobs, claim: jobs.report(claim, Progress(fraction=0.5)),
    "publish": lambda jobs, claim: jobs.publish(claim, outcome()),
    "finish": lambda jobs, claim: jobs.finish(claim, JobState.SUCCEEDED),
    "fail": lambda jobs, claim: jobs.finish(claim, JobState.FAILED, "no reason"),
    "look": lambda jobs, claim: jobs.stop_requested(claim),
}


def claimed(jobs: JobStore, **changes: Any) -> Claim:
    job, _ = jobs.submit(spec(**changes))
    claim = jobs.claim(job.id, "worker")
    assert claim is not None
    return claim


def history(jobs: JobStore, job_id: str) -> list[str]:
    events = jobs.events(job_id)
    assert [entry.number for entry in events] == list(range(1, len(events) + 1))
    return [entry.kind for entry in events]


def everything(jobs: JobStore, job_id: str) -> object:
    return jobs.get(job_id), jobs.events(job_id)


# Asking


def test_a_job_is_read_back_as_it_was_asked_for(jobs: JobStore) -> None:
    before = datetime.now(UTC)
    asked = spec(steps=(5, 8, 6), seed=7)
    job, is_new = jobs.submit(asked)
    assert is_new
    assert jobs.get(job.id) == job
    assert (job.state, job.spec, job.results, job.error) == (JobState.QUEUED, asked, (), None)
    assert job.progress == Progress()
    assert before <= job.created_at <= datetime.now(UTC)
    assert (job.started_at, job.finished_at) == (None, None)
    (queued,) = jobs.events(job.id)
    assert (queued.kind, queued.data) == ("queued", {"spec": asked.model_dump(mode="json")})


def test_the_same_key_means_the_same_job(jobs: JobStore) -> None:
    first, _ = jobs.submit(spec(), "key")
    assert jobs.submit(spec(), "key") == (first, False)
    with pytest.raises(KeyReused, match=first.id):
        jobs.submit(spec(seed=1), "key")
    assert jobs.submit(spec(), "other key")[1]
    assert jobs.submit(spec())[1]
    assert jobs.submit(spec())[1]
    assert len(jobs.jobs()) == 4


def test_a_key_still_means_its_job_after_the_end(jobs: JobStore) -> None:
    first, _ = jobs.submit(spec(), "key")
    cancelled = jobs.cancel(first.id)
    assert jobs.submit(spec(), "key") == (cancelled, False)


@pytest.mark.parametrize("key", ["k" * 201, "a\0b", "\ud800"])
def test_a_key_that_cannot_be_kept_is_refused(jobs: JobStore, key: str) -> None:
    with pytest.raises(RecordError, match="idempotency key"):
        jobs.submit(spec(), key)
    assert jobs.jobs() == []


def test_racing_requests_with_one_key_make_one_job(jobs: JobStore) -> None:
    barrier = threading.Barrier(NUM_RACERS)

    def race(_: int) -> tuple[str, bool]:
        barrier.wait()
        job, is_new = jobs.submit(spec(), "key")
        return job.id, is_new

    with ThreadPoolExecutor(NUM_RACERS) as threads:
        made = list(threads.map(race, range(NUM_RACERS)))
    assert len({job_id for job_id, _ in made}) == 1
    assert [is_new for _, is_new in made].count(True) == 1


def test_jobs_are_listed_newest_first(jobs: JobStore) -> None:
    made = [jobs.submit(spec(seed=n))[0].id for n in range(3)]
    jobs.cancel(made[1])
    assert [job.id for job in jobs.jobs()] == made[::-1]
    assert [job.id for job in jobs.jobs(limit=2)] == [made[2], made[1]]
    assert [job.id for job in jobs.jobs(JobState.CANCELLED)] == [made[1]]
    counts = dict.fromkeys(JobState, 0) | {JobState.QUEUED: 2, JobState.CANCELLED: 1}
    assert jobs.counts() == counts
    assert jobs.queued() == [Waiting(made[0], 0), Waiting(made[2], 0)]


@pytest.mark.parametrize("job_id", ["none", "", "a\0b", "x" * 500])
def test_a_job_that_is_not_there_is_not_found(jobs: JobStore, job_id: str) -> None:
    asks: list[Callable[[str], object]] = [
        jobs.get,
        jobs.events,
        jobs.cancel,
        jobs.stop,
        lambda unknown: jobs.claim(unknown, "worker"),
    ]
    for ask in asks:
        with pytest.raises(JobNotFound, match="no search job"):
            ask(job_id)


# Working


def test_a_claimed_job_runs_and_is_nobody_elses(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    claim = jobs.claim(job.id, "worker")
    assert claim == Claim(job.id, 1, spec())
    running = jobs.get(job.id)
    assert running.state == JobState.RUNNING
    assert running.started_at is not None
    assert jobs.claim(job.id, "other") is None
    jobs.queue_lapsed()
    assert jobs.get(job.id) == running
    assert history(jobs, job.id) == ["queued", "started"]


def test_of_racing_workers_one_gets_the_job(jobs: JobStore) -> None:
    barrier = threading.Barrier(NUM_RACERS)

    def race(job_id: str) -> bool:
        barrier.wait()
        return jobs.claim(job_id, threading.current_thread().name) is not None

    with ThreadPoolExecutor(NUM_RACERS) as threads:
        for _ in range(3):
            job, _ = jobs.submit(spec())
            assert list(threads.map(race, [job.id] * NUM_RACERS)).count(True) == 1


def test_a_lease_that_has_run_out_is_anybodys(jobs: JobStore, hurried: JobStore) -> None:
    lapsed = claimed(hurried)
    taken = jobs.claim(lapsed.job_id, "other")
    assert taken is not None
    assert taken.token > lapsed.token
    assert history(jobs, lapsed.job_id) == ["queued", "started", "started"]


def test_a_lease_that_nobody_took_can_be_renewed(jobs: JobStore, hurried: JobStore) -> None:
    lapsed = claimed(hurried)
    jobs.renew(lapsed)
    assert jobs.claim(lapsed.job_id, "other") is None


@pytest.mark.parametrize("report", [True, False])
def test_every_sign_of_life_renews_the_lease(
    jobs: JobStore, hurried: JobStore, report: bool
) -> None:
    claim = claimed(hurried)
    if report:
        jobs.report(claim, Progress())
    else:
        jobs.publish(claim, outcome())
    assert jobs.claim(claim.job_id, "other") is None


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_whoever_was_overtaken_changes_nothing(
    jobs: JobStore, hurried: JobStore, store: SolverStore, write: Write
) -> None:
    overtaken = claimed(hurried)
    jobs.claim(overtaken.job_id, "other")
    before = everything(jobs, overtaken.job_id)
    with nothing_changes(store), pytest.raises(LeaseLost, match="token 2, this claim has 1"):
        write(jobs, overtaken)
    assert everything(jobs, overtaken.job_id) == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_whoever_was_given_up_changes_nothing(
    jobs: JobStore, hurried: JobStore, store: SolverStore, write: Write
) -> None:
    given_up = claimed(hurried)
    jobs.queue_lapsed()
    before = everything(jobs, given_up.job_id)
    with nothing_changes(store), pytest.raises(LeaseLost):
        write(jobs, given_up)
    assert everything(jobs, given_up.job_id) == before


def test_progress_is_kept_and_told(jobs: JobStore) -> None:
    claim = claimed(jobs)
    progress = Progress(fraction=0.25, steps=2, stage="search", iteration=3, loss=0.5, eta_s=9.0)
    jobs.report(claim, progress)
    assert jobs.get(claim.job_id).progress == progress
    told = jobs.events(claim.job_id, after=2)
    assert [Progress(**entry.data) for entry in told] == [progress]


def test_a_loss_that_is_no_number_is_told_as_none(jobs: JobStore) -> None:
    claim = claimed(jobs)
    jobs.report(claim, Progress(loss=float("nan")))
    assert jobs.get(claim.job_id).progress.loss is None
    assert jobs.events(claim.job_id)[-1].data["loss"] is None


def test_events_are_replayed_from_any_number(
    jobs: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claimed(jobs)
    for n in range(5):
        jobs.report(claim, Progress(fraction=n / 5))
    assert [entry.number for entry in jobs.events(claim.job_id, after=4)] == [5, 6, 7]
    assert jobs.events(claim.job_id, after=7) == []
    monkeypatch.setattr(job_store, "MAX_EVENTS", 3)
    assert [entry.number for entry in jobs.events(claim.job_id, after=1)] == [2, 3, 4]


# Publishing


def test_a_result_is_published_promoted_and_told(jobs: JobStore, store: SolverStore) -> None:
    claim = claimed(jobs)
    result = jobs.publish(claim, outcome(promotions=(promotion(), promotion(alias="faithful"))))
    version = store.get(NAME, 1)
    assert version.table == euler(2)
    assert (result.steps, result.solver.name, result.solver.version) == (2, NAME, 1)
    assert result.solver.digest == version.digest
    assert result.promoted == ("champion", "faithful")
    assert result.decision == "It is better."
    assert result.evidence["metrics"] == version.evidence[0].metrics
    assert store.aliases(NAME) == {"champion": 1, "faithful": 1}
    move = store.alias_history(NAME)[0]
    assert (move.moved_by, move.note) == (f"search job {claim.job_id}", "lower distance")
    assert jobs.get(claim.job_id).results == (result,)
    assert jobs.result(claim.job_id, 2) == result
    assert jobs.result(claim.job_id, 3) is None
    assert jobs.events(claim.job_id)[-1].data == result.model_dump(mode="json")


def test_a_step_count_is_published_once(
    jobs: JobStore, hurried: JobStore, store: SolverStore
) -> None:
    first = claimed(hurried, steps=(2, 3))
    result = hurried.publish(first, outcome())
    second = jobs.claim(first.job_id, "other")
    assert second is not None
    with nothing_changes(store):
        assert jobs.publish(second, outcome()) == result
        assert jobs.publish(second, outcome(shade=0.3)) == result  # the first one stands
    other = jobs.publish(second, outcome(steps=3))
    assert jobs.get(first.job_id).results == (result, other)
    assert history(jobs, first.job_id).count("result") == 2


def test_a_promotion_that_comes_too_late_is_said_and_no_error(
    jobs: JobStore, store: SolverStore
) -> None:
    store.publish(NAME, euler(shade=0.3), source={})
    store.promote(NAME, "champion", 1, expected=None, by="ada")
    late = (promotion(expected=None), promotion(alias="faithful"))
    result = jobs.publish(claimed(jobs), outcome(promotions=late))
    assert store.aliases(NAME) == {"champion": 1, "faithful": 2}
    assert result.promoted == ("faithful",)
    assert result.decision.startswith("It is better. It moved meanwhile, so it stays: ")
    assert "points at version 1" in result.decision


def test_a_table_that_the_name_holds_already_gains_the_evidence(
    jobs: JobStore, store: SolverStore
) -> None:
    store.publish(NAME, euler(), source={})
    result = jobs.publish(claimed(jobs), outcome())
    assert result.solver.version == 1
    assert len(store.get(NAME, 1).evidence) == 1


def test_an_outcome_that_the_store_refuses_changes_nothing(
    jobs: JobStore, store: SolverStore
) -> None:
    claim = claimed(jobs)
    before = everything(jobs, claim.job_id)
    with nothing_changes(store), pytest.raises(RecordError):
        jobs.publish(claim, outcome(steps=3, table=euler(2)))
    store.publish(NAME, euler(4), source={})
    with nothing_changes(store), pytest.raises(NameMismatch):
        jobs.publish(claim, outcome())
    assert everything(jobs, claim.job_id) == before


def test_publishing_cut_off_at_any_statement_is_all_or_nothing(
    jobs: JobStore, store: SolverStore
) -> None:
    claim, point = claimed(jobs), 0
    while True:
        before = contents(store), everything(jobs, claim.job_id)
        with suppress(Interrupted), CutOff(point):
            jobs.publish(claim, outcome(promotions=(promotion(),)))
            break
        assert (contents(store), everything(jobs, claim.job_id)) == before
        point += 1
    assert point > 10  # that many statements there were
    assert jobs.get(claim.job_id).results[0].promoted == ("champion",)


class Interrupted(Exception):
    pass


class CutOff:
    """Ends whatever happens before the n-th statement from now."""

    def __init__(self, point: int) -> None:
        self._left = point

    def __enter__(self) -> "CutOff":
        event.listen(Engine, "before_cursor_execute", self._count)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self._left -= 1
        if self._left < 0:
            raise Interrupted


# Ending


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_a_finished_job_never_changes(jobs: JobStore, store: SolverStore, state: JobState) -> None:
    claim = claimed(jobs)
    jobs.finish(claim, state, "the reason")
    finished = jobs.get(claim.job_id)
    assert (finished.state, finished.error) == (state, "the reason")
    assert finished.finished_at is not None
    told = jobs.events(claim.job_id)[-1]
    assert (told.kind, told.data) == ("finished", {"state": state, "error": "the reason"})
    before = everything(jobs, claim.job_id)
    for end in (jobs.cancel, jobs.stop):
        with pytest.raises(JobFinished, match=state):
            end(claim.job_id)
    with nothing_changes(store):
        for name in ("renew", "report", "publish", "look"):
            with pytest.raises(LeaseLost):
                WRITES[name](jobs, claim)
    assert jobs.claim(claim.job_id, "other") is None
    jobs.free("worker")
    jobs.queue_lapsed()
    assert everything(jobs, claim.job_id) == before


def test_an_end_whose_answer_was_lost_may_be_repeated(jobs: JobStore) -> None:
    claim = claimed(jobs)
    jobs.finish(claim, JobState.SUCCEEDED)
    before = everything(jobs, claim.job_id)
    jobs.finish(claim, JobState.SUCCEEDED)
    assert everything(jobs, claim.job_id) == before


def test_any_reason_can_be_kept(jobs: JobStore) -> None:
    claim = claimed(jobs)
    jobs.finish(claim, JobState.FAILED, "odd \0 file \udc80 name " + "x" * 5000)
    error = jobs.get(claim.job_id).error
    assert error is not None
    assert error.startswith("odd  file ? name xxx")
    assert len(error) == 2000


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_cancelled_job_ends_at_once_for_everybody(
    jobs: JobStore, store: SolverStore, write: Write
) -> None:
    claim = claimed(jobs, steps=(2, 3))
    kept = jobs.publish(claim, outcome(steps=3))
    cancelled = jobs.cancel(claim.job_id)
    assert (cancelled.state, cancelled.results) == (JobState.CANCELLED, (kept,))
    assert jobs.events(claim.job_id)[-1].data == {"state": "cancelled", "error": None}
    before = everything(jobs, claim.job_id)
    with nothing_changes(store), pytest.raises(JobCancelled):
        write(jobs, claim)
    assert jobs.claim(claim.job_id, "other") is None
    assert everything(jobs, claim.job_id) == before


def test_a_running_job_is_asked_to_stop_and_keeps_running(jobs: JobStore) -> None:
    claim = claimed(jobs)
    assert not jobs.stop_requested(claim)
    assert jobs.stop(claim.job_id).state == JobState.RUNNING
    jobs.stop(claim.job_id)
    assert jobs.stop_requested(claim)
    assert history(jobs, claim.job_id) == ["queued", "started", "stopping"]


def test_a_job_that_never_ran_is_cancelled_when_it_is_stopped(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    assert jobs.stop(job.id).state == JobState.CANCELLED
    assert history(jobs, job.id) == ["queued", "finished"]


def test_whoever_takes_a_stopped_job_over_stops_it(jobs: JobStore, hurried: JobStore) -> None:
    claim = claimed(hurried)
    jobs.queue_lapsed()
    assert jobs.stop(claim.job_id).state == JobState.QUEUED  # it may have a best so far
    taken = jobs.claim(claim.job_id, "other")
    assert taken is not None
    assert jobs.stop_requested(taken)


# Looking after workers


def test_what_a_lost_worker_held_is_queued_again(jobs: JobStore, hurried: JobStore) -> None:
    lost = claimed(hurried)
    alive = claimed(jobs)
    jobs.queue_lapsed()
    assert jobs.get(lost.job_id).state == JobState.QUEUED
    assert jobs.get(alive.job_id).state == JobState.RUNNING
    assert jobs.queued() == [Waiting(lost.job_id, lost.token)]
    told = jobs.events(lost.job_id)[-1]
    assert (told.kind, told.data["reason"]) == ("queued", "its worker has not been heard of")
    started_at = jobs.get(lost.job_id).started_at
    assert jobs.claim(lost.job_id, "other") is not None
    assert jobs.get(lost.job_id).started_at == started_at


@pytest.mark.parametrize("leave", [JobStore.free, JobStore.hand_back])
def test_a_worker_leaves_only_what_it_held(
    jobs: JobStore, leave: Callable[[JobStore, str], None]
) -> None:
    mine, other = claimed(jobs), jobs.submit(spec())[0]
    jobs.claim(other.id, "other")
    leave(jobs, "worker")
    assert jobs.get(mine.job_id).state == JobState.QUEUED
    assert jobs.get(other.id).state == JobState.RUNNING
    assert jobs.claim(mine.job_id, "other") is not None


def test_a_worker_knows_when_a_job_is_no_longer_its_own(jobs: JobStore, hurried: JobStore) -> None:
    job, _ = hurried.submit(spec())
    assert not jobs.is_lost(job.id, "worker")  # its process may be about to claim it
    hurried.claim(job.id, "worker")
    assert not jobs.is_lost(job.id, "worker")
    jobs.claim(job.id, "other")
    assert jobs.is_lost(job.id, "worker")
    assert not jobs.is_lost(job.id, "other")
    jobs.cancel(job.id)
    assert jobs.is_lost(job.id, "other")
    assert jobs.is_lost("none", "worker")


def attempt(jobs: JobStore, job_id: str, fraction: float) -> None:
    claim = jobs.claim(job_id, "worker")
    assert claim is not None
    jobs.report(claim, Progress(fraction=fraction, steps=2, stage="evaluation"))
    jobs.free("worker")


def test_a_job_that_gets_no_further_is_given_up(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    for fraction in (0.5, 0.4, 0.5, 0.3, 0.5):  # resumed from a checkpoint, it is behind first
        attempt(jobs, job.id, fraction)
    assert jobs.claim(job.id, "worker") is None
    failed = jobs.get(job.id)
    assert failed.state == JobState.FAILED
    assert failed.error == (
        "given up: its process ended 5 times without getting further than 50% "
        "(last seen: evaluation of 2 steps)"
    )


def test_a_job_that_gets_further_may_be_killed_for_ever(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    for n in range(1, 4 * MAX_ATTEMPTS):
        attempt(jobs, job.id, n / 100)
    assert jobs.claim(job.id, "worker") is not None


def test_a_worker_that_is_told_to_stop_is_no_failed_attempt(jobs: JobStore) -> None:
    job, _ = jobs.submit(spec())
    for _ in range(2 * MAX_ATTEMPTS):
        assert jobs.claim(job.id, "worker") is not None
        jobs.hand_back("worker")
    assert jobs.claim(job.id, "worker") is not None


# Damage and locks


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE search_jobs SET spec_json = '{}'",
        "UPDATE search_jobs SET progress_json = 'x'",
        "UPDATE search_jobs SET state = 'lost'",
        "UPDATE search_job_results SET result_json = '[]'",
    ],
)
def test_a_damaged_record_is_refused(jobs: JobStore, damage: str) -> None:
    claim = claimed(jobs)
    jobs.publish(claim, outcome())
    with jobs.database.writing() as connection:
        connection.execute(text(damage))
    with pytest.raises(StoreDamaged, match=claim.job_id):
        jobs.get(claim.job_id)


def test_a_locked_database_is_unavailable_and_nothing_changes(
    jobs: JobStore, database_url: str
) -> None:
    claim = claimed(jobs)
    before = everything(jobs, claim.job_id)
    writes = [write for name, write in WRITES.items() if name != "look"]
    with closing(SolverStore.open(database_url, timeout_s=0.05)) as opened:
        waiting = JobStore(opened.database)
        with jobs.database.writing():
            for write in writes:
                with pytest.raises(StoreUnavailable, match="lock"):
                    write(waiting, claim)
            with pytest.raises(StoreUnavailable, match="lock"):
                waiting.submit(spec())
        assert everything(jobs, claim.job_id) == before
        for write in writes[:3]:
            write(waiting, claim)
