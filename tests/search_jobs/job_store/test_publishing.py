"""A result is published, promoted and told once, or not at all."""

from contextlib import suppress

import pytest
from sqlalchemy import Engine, event

from search_jobs.job_store import JobStore
from solver_store.errors import NameMismatch, RecordError
from solver_store.store import SolverStore
from tests.search_jobs.builders import outcome, promotion
from tests.search_jobs.job_store.claims import claimed, everything, history
from tests.solver_store.builders import contents, euler, nothing_changes

NAME = "glyphs-g2.2-2"


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
