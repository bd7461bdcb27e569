"""The scheduler decides from lane facts alone; these tests replay its decisions by hand."""

import pytest

from service.engine.scheduler import Lane, Scheduler


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler({"m": 4, "other": 4}, {"m": 3, "other": 3})


def lane(steps: int, rows: int = 1, model: str = "m", deterministic: bool = False) -> Lane:
    return Lane(model, steps, rows, deterministic)


def run(scheduler: Scheduler, ticks: int) -> list[Lane]:
    """Finished lanes, in the order in which they leave."""
    finished: list[Lane] = []
    for _ in range(ticks):
        batch = scheduler.schedule()
        if batch is None:
            break
        finished += scheduler.retire(batch)
    return finished


def test_no_lanes_no_batch(scheduler: Scheduler) -> None:
    assert scheduler.schedule() is None


def test_lanes_join_and_leave_at_every_step(scheduler: Scheduler) -> None:
    long, short = lane(3), lane(1)
    scheduler.add(long)
    run(scheduler, 1)
    scheduler.add(short)
    batch = scheduler.schedule()
    assert batch is not None
    assert set(batch.lanes) == {long, short}
    assert scheduler.retire(batch) == [short]
    assert run(scheduler, 5) == [long]


def test_rows_never_exceed_the_limit_and_fill_it(scheduler: Scheduler) -> None:
    for rows in (2, 1, 2, 1):
        scheduler.add(lane(5, rows))
    batch = scheduler.schedule()
    assert batch is not None
    assert batch.rows == 4
    # The second guided lane does not fit behind 2 + 1, the last unguided one does.
    assert [entry.rows for entry in batch.lanes] == [2, 1, 1]


def test_a_guided_lane_steps_even_where_the_limit_is_one_row() -> None:
    scheduler = Scheduler({"m": 1}, {"m": 2})
    scheduler.add(lane(1, rows=2))
    batch = scheduler.schedule()
    assert batch is not None
    assert batch.rows == 2


def test_a_short_request_overtakes_long_ones(scheduler: Scheduler) -> None:
    longs = [lane(50) for _ in range(8)]
    for entry in longs:
        scheduler.add(entry)
    run(scheduler, 3)
    short = lane(4)
    scheduler.add(short)
    assert run(scheduler, 4) == [short]


def test_a_long_request_is_not_starved_by_a_stream_of_short_ones(scheduler: Scheduler) -> None:
    long = lane(20)
    scheduler.add(long)
    for tick in range(200):
        for _ in range(2):  # two short ones of two steps a tick: exactly the row limit
            scheduler.add(lane(2))
        batch = scheduler.schedule()
        assert batch is not None
        if long in scheduler.retire(batch):
            # Behind at most the shorts that came within the first 18 ticks, then one of four rows.
            assert tick < 60
            return
    pytest.fail("the long request never finished")


def test_equal_requests_are_served_in_order_of_arrival(scheduler: Scheduler) -> None:
    lanes = [lane(1) for _ in range(9)]
    for entry in lanes:
        scheduler.add(entry)
    assert run(scheduler, 3) == lanes


def test_one_forward_holds_one_model(scheduler: Scheduler) -> None:
    here, there = lane(2), lane(1, model="other")
    scheduler.add(here)
    scheduler.add(there)
    first = scheduler.schedule()
    assert first is not None
    assert first.lanes == (there,)


def test_deterministic_lanes_get_their_fixed_rows_and_others_ride_along(
    scheduler: Scheduler,
) -> None:
    fixed, free = lane(1, rows=2, deterministic=True), lane(2)
    scheduler.add(free)
    scheduler.add(fixed)
    batch = scheduler.schedule()
    assert batch is not None
    assert batch.lanes == (fixed, free)
    assert batch.pad_to == 3


def test_deterministic_lanes_stay_out_of_free_forwards(scheduler: Scheduler) -> None:
    scheduler.add(lane(1))
    scheduler.add(lane(9, deterministic=True))
    batch = scheduler.schedule()
    assert batch is not None
    assert batch.pad_to == 0
    assert not any(entry.deterministic for entry in batch.lanes)


def test_halving_the_row_limit_stops_at_one_guided_lane(scheduler: Scheduler) -> None:
    assert [scheduler.halve_row_limit("m") for _ in range(3)] == [2, 2, 2]


def test_expired_lanes_are_those_past_their_deadline(scheduler: Scheduler) -> None:
    late, early, free = lane(1), lane(1), lane(1)
    late.deadline_at, early.deadline_at = 10.0, 20.0
    for entry in (late, early, free):
        scheduler.add(entry)
    assert scheduler.expired(now=15.0) == [late]
