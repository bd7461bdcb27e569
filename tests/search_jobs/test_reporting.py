"""What a job tells of its progress."""

import itertools

import pytest

from search_jobs.control import StepOutcome
from search_jobs.reporting import Reporter
from search_jobs.search import Step
from search_jobs.spec import Progress, StepResult
from tests.solver_store.builders import euler


class Listening:
    """A control that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[Progress] = []

    def report(self, progress: Progress) -> None:
        self.heard.append(progress)

    def should_stop(self) -> bool:
        return False

    def result(self, steps: int) -> StepResult | None:
        return None

    def publish(self, outcome: StepOutcome) -> StepResult:
        raise AssertionError("a reporter publishes nothing")


def step(iteration: int, iterations: int) -> Step:
    evaluations, loss = 100 * iteration, 1.0 / iteration
    return Step(iteration, iterations, evaluations, loss, loss / 2, euler(4))


def test_the_fraction_never_falls_and_ends_at_one() -> None:
    control, seconds = Listening(), itertools.count()
    reporter = Reporter(control, (4, 8), lambda: float(next(seconds)))
    for steps in (4, 8):
        reporter.teaching(steps, 1, 2)
        for iteration in range(1, 11):
            reporter.searching(steps, step(iteration, 10))
        for done in (5, 10, 1, 10):  # an evaluation in two parts
            reporter.evaluating(steps, done, 10)
        reporter.finished(steps)
    fractions = [progress.fraction for progress in control.heard]
    assert fractions == sorted(fractions)
    assert fractions[0] == pytest.approx(0.02)
    assert fractions[-1] == pytest.approx(1.0)
    assert fractions[len(fractions) // 2 - 1] == pytest.approx(1 / 3), "4 of 12 steps"


def test_a_job_that_goes_on_does_not_fall_back() -> None:
    control, seconds = Listening(), iter([0.0, 10.0, 20.0])
    reporter = Reporter(control, (5,), lambda: next(seconds), furthest=0.435)
    reporter.teaching(5, 1, 2)
    for iteration in (5, 6):  # of its checkpoint, and the next
        reporter.searching(5, step(iteration, 10))
    first, second, third = control.heard
    assert first.fraction == second.fraction == pytest.approx(0.435)
    assert second.eta_s is None, "what was reached before says nothing about the present pace"
    assert third.fraction == pytest.approx(0.498)
    assert third.eta_s == pytest.approx(20.0 * (1 - 0.498) / 0.063)


def test_the_remaining_time_is_that_of_the_present_pace() -> None:
    control, seconds = Listening(), iter([0.0, 10.0])
    reporter = Reporter(control, (5,), lambda: next(seconds))
    reporter.searching(5, step(1, 10))
    reporter.searching(5, step(2, 10))
    first, second = control.heard
    assert first.eta_s is None, "there is no pace yet"
    assert second.eta_s == pytest.approx(10.0 * (1 - second.fraction) / 0.063)


def test_the_loss_stays_in_sight_during_the_evaluation() -> None:
    control = Listening()
    reporter = Reporter(control, (5,))
    reporter.searching(5, step(10, 10))
    reporter.evaluating(5, 1, 2)
    assert control.heard[-1].stage == "evaluation"
    assert control.heard[-1].loss == pytest.approx(0.1)
