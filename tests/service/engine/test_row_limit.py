"""The row limit falls with what failed, and rises with patience."""

from service.engine.row_limit import FIRST_PATIENCE, MAX_PATIENCE, RowLimit


def full_steps_until_tried(limit: RowLimit) -> int:
    return next(n for n in range(1, 2 * MAX_PATIENCE) if limit.note_full_step())


def test_half_the_rows_that_had_no_room_are_the_limit() -> None:
    limit = RowLimit(256)
    limit.fail(256)
    assert limit.rows == 128
    limit.fail(100)
    assert limit.rows == 50


def test_rows_that_failed_above_the_limit_leave_it_as_it_is() -> None:
    limit = RowLimit(8)
    limit.fail(4)
    for _ in range(3):
        limit.fail(8)
    assert limit.rows == 2
    assert full_steps_until_tried(limit) == 2 * FIRST_PATIENCE, "nor is it tried later for that"


def test_the_limit_stops_at_one_guided_lane() -> None:
    limit = RowLimit(4)
    for _ in range(3):
        limit.fail(limit.rows)
        assert limit.rows == 2


def test_after_many_good_full_steps_twice_as_many_are_tried_up_to_those_measured() -> None:
    limit = RowLimit(6)
    limit.fail(4)
    widened = []
    while limit.rows < limit.measured:
        assert full_steps_until_tried(limit) == 2 * FIRST_PATIENCE
        limit.widen()
        widened.append(limit.rows)
    assert widened == [4, 6]
    assert not any(limit.note_full_step() for _ in range(MAX_PATIENCE))


def test_a_limit_that_fails_again_and_again_is_tried_less_and_less_often() -> None:
    limit = RowLimit(8)
    limit.fail(8)
    waits = []
    for _ in range(9):
        waits.append(full_steps_until_tried(limit))
        limit.fail(limit.wider)
        assert limit.rows == 4
    assert waits[:3] == [2 * FIRST_PATIENCE, 4 * FIRST_PATIENCE, 8 * FIRST_PATIENCE]
    assert waits[-1] == MAX_PATIENCE
