"""Every model has a queue of its own, and says when there is room in it."""

import pytest

from service.engine.ledger import Ledger
from service.errors import QueueFull, RequestTooLarge


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(max_rows=100)


def retry_after_s(ledger: Ledger, model: str, rows: int) -> float:
    with pytest.raises(QueueFull) as refusal:
        ledger.enter(model, rows, images=1)
    return refusal.value.retry_after_s


def test_one_model_that_fills_its_queue_leaves_room_for_another(ledger: Ledger) -> None:
    ledger.enter("large", 100, images=10)
    ledger.enter("small", 100, images=1)
    assert (ledger.rows, ledger.images) == (200, 11)
    with pytest.raises(QueueFull, match="the queue of small holds 100 of 100 network rows"):
        ledger.enter("small", 1, images=1)


def test_more_than_a_queue_ever_holds_is_refused_for_good(ledger: Ledger) -> None:
    with pytest.raises(RequestTooLarge):
        ledger.enter("small", 101, images=1)


def test_a_refusal_books_nothing_and_keeps_no_drain_waiting(ledger: Ledger) -> None:
    ledger.enter("small", 60, images=1)
    retry_after_s(ledger, "small", 60)
    ledger.leave("small", 60, images=1)
    assert (ledger.rows, ledger.images) == (0, 0)
    assert ledger.wait_until_empty(timeout_s=0)


def test_a_drain_waits_for_the_images_of_every_model(ledger: Ledger) -> None:
    ledger.enter("large", 4, images=1)
    ledger.enter("small", 4, images=1)
    ledger.leave("small", 4, images=1)
    assert not ledger.wait_until_empty(timeout_s=0)
    ledger.leave("large", 4, images=1)
    assert ledger.wait_until_empty(timeout_s=0)


def test_the_time_to_wait_is_by_the_pace_of_the_model_that_is_asked_for(ledger: Ledger) -> None:
    ledger.note_step("large", rows=8, duration_s=16.0)
    ledger.note_step("small", rows=8, duration_s=0.8)
    ledger.enter("small", 100, images=1)
    assert retry_after_s(ledger, "small", 80) == 8  # 80 rows, a tenth of a second each


def test_the_time_to_wait_counts_the_turns_of_the_others_that_have_work(ledger: Ledger) -> None:
    ledger.note_step("large", rows=8, duration_s=16.0)
    ledger.note_step("small", rows=8, duration_s=0.8)
    ledger.enter("small", 100, images=1)
    ledger.enter("large", 100, images=1)
    # 10 steps, and between any two of them a step of the large one.
    assert retry_after_s(ledger, "small", 80) == 168
    ledger.leave("large", 100, images=1)
    assert retry_after_s(ledger, "small", 80) == 8


def test_the_time_to_wait_counts_the_decoding_that_comes_with_the_steps(ledger: Ledger) -> None:
    ledger.note_decoding("small", 1.2)
    ledger.note_step("small", rows=8, duration_s=0.8)
    ledger.enter("small", 100, images=1)
    assert retry_after_s(ledger, "small", 80) == 20


def test_the_seconds_of_a_row_are_those_of_forwards_alone_whatever_the_model(
    ledger: Ledger,
) -> None:
    ledger.note_decoding("small", 5.0)
    ledger.note_step("small", rows=8, duration_s=0.8)
    assert ledger.seconds_per_row == pytest.approx(0.1)
    ledger.note_step("large", rows=8, duration_s=16.0)
    assert 0.1 < ledger.seconds_per_row < 2.0
