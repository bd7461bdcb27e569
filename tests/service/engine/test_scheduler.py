"""The scheduler decides from lane facts alone; these tests replay its decisions by hand."""

import pytest

from service.engine.scheduler import Lane, Scheduler


@pytest.fixture
def scheduler() -> Scheduler:
    scheduler = Scheduler()
    for model in ("m", "other"):
        scheduler.seat(model, row_limit=4, deterministic_rows=3)
    return scheduler


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
    scheduler = Scheduler()
    scheduler.seat("m", row_limit=1, deterministic_rows=2)
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
    assert first.lanes == (here,)
    scheduler.retire(first)
    second = scheduler.schedule()
    assert second is not None
    assert second.lanes == (there,)


@pytest.mark.parametrize("num_old", [8, 64])
def test_what_one_model_has_to_do_does_not_hold_up_another(
    scheduler: Scheduler, num_old: int
) -> None:
    for _ in range(num_old):
        scheduler.add(lane(50))
    run(scheduler, 30)
    new = lane(8, model="other")
    scheduler.add(new)
    # A step of the one, a step of the other.
    assert new in run(scheduler, 16)


def test_turns_are_taken_by_those_that_have_work(scheduler: Scheduler) -> None:
    scheduler.seat("third", row_limit=4, deterministic_rows=3)
    scheduler.add(lane(9))
    scheduler.add(lane(2, model="third"))
    turns: list[str] = []
    for tick in range(8):
        if tick == 4:
            scheduler.add(lane(2, model="other"))
        batch = scheduler.schedule()
        assert batch is not None
        turns.append(batch.model)
        scheduler.retire(batch)
    # Who comes anew waits for nobody twice; who is done is not waited for.
    assert turns == ["m", "third", "m", "third", "other", "m", "other", "m"]


def test_a_model_whose_step_failed_has_had_its_turn(scheduler: Scheduler) -> None:
    scheduler.add(lane(9))
    scheduler.add(lane(9, model="other"))
    scheduler.schedule()  # and no retire: the step failed
    batch = scheduler.schedule()
    assert batch is not None
    assert batch.model == "other"


def test_a_short_request_overtakes_long_ones_of_its_model_while_others_have_work(
    scheduler: Scheduler,
) -> None:
    for _ in range(8):
        scheduler.add(lane(50))
        scheduler.add(lane(50, model="other"))
    run(scheduler, 40)
    short = lane(4)
    scheduler.add(short)
    assert run(scheduler, 8) == [short]


def test_a_model_that_is_held_lets_the_others_go_on_and_no_background_lane(
    scheduler: Scheduler,
) -> None:
    scheduler.add(lane(9))
    scheduler.add(Lane("other", steps=9, rows=1, background=True))
    assert scheduler.schedule(held={"m"}) is None
    awaited = lane(1, model="other")
    scheduler.add(awaited)
    batch = scheduler.schedule(held={"m"})
    assert batch is not None
    assert batch.lanes == (awaited,)


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


@pytest.mark.parametrize(("num_lanes", "is_full"), [(1, False), (2, False), (3, True)])
def test_a_batch_is_full_where_another_lane_would_have_stepped(
    scheduler: Scheduler, num_lanes: int, is_full: bool
) -> None:
    for _ in range(num_lanes):
        scheduler.add(lane(5, rows=2))
    batch = scheduler.schedule()
    assert batch is not None
    assert batch.is_full is is_full


def test_expired_lanes_are_those_past_their_deadline(scheduler: Scheduler) -> None:
    late, early, free = lane(1), lane(1), lane(1)
    late.deadline_at, early.deadline_at = 10.0, 20.0
    for entry in (late, early, free):
        scheduler.add(entry)
    assert scheduler.expired(now=15.0) == [late]
