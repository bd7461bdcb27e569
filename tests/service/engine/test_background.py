"""Background images give way to all others, and spare time is what the others leave."""

import numpy as np
import pytest

from diffusion_core.model import LoadedModel
from service.engine.requests import ImageRequest, Pixels
from service.engine.scheduler import Lane, Scheduler
from service.errors import Cancelled
from tests.fakes import alone


class Notebook:
    """Spare-time work that only writes down what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []  # seed, background
        self.steps: list[bool] = []  # background

    def see(
        self, request: ImageRequest, pixels: Pixels, submitted_at: float, background: bool
    ) -> None:
        self.seen.append((request.seed, background))

    def after_step(self, duration_s: float, background: bool) -> None:
        assert duration_s > 0
        self.steps.append(background)

    def when_idle(self) -> bool:
        return False


def test_background_lanes_step_only_while_there_is_no_other() -> None:
    scheduler = Scheduler()
    scheduler.seat("m", row_limit=4, deterministic_rows=4)
    canary = Lane("m", steps=2, rows=1, background=True)
    scheduler.add(canary)
    awaited = Lane("m", steps=9, rows=1)
    scheduler.add(awaited)
    for _ in range(9):
        batch = scheduler.schedule()
        assert batch is not None
        assert batch.lanes == (awaited,), "not even the free rows: each would cost time"
        scheduler.retire(batch)
    batch = scheduler.schedule()
    assert batch is not None
    assert batch.lanes == (canary,)


def test_a_request_waits_for_one_step_of_a_background_image(engine, request_for, mailbox) -> None:
    background, awaited = mailbox(), mailbox()
    engine.submit_background([request_for(steps=5)], background)
    engine.crank()
    engine.submit([request_for(steps=3)], awaited)
    engine.crank(3)
    assert awaited.done
    assert not background.done
    engine.crank(4)
    assert background.done


def test_a_background_image_is_the_same_picture(engine, tiny, request_for, mailbox) -> None:
    box, request = mailbox(), request_for(steps=3, seed=5)
    engine.submit_background([request], box)
    engine.crank(2)
    engine.submit([request_for(steps=4, seed=6)], mailbox())
    engine.crank_until_idle()
    assert np.array_equal(box.done[0].pixels, alone(tiny, request))


def test_background_images_take_no_room_and_count_for_nothing(engine, request_for, mailbox) -> None:
    engine.submit_background([request_for(steps=200) for _ in range(20)], mailbox())
    engine.crank(2)
    stats = engine.stats()
    assert (stats.queued_rows, stats.lanes, stats.waiting, stats.steps) == (0, 0, 0, 0)
    assert stats.last_progress_at is not None, "they, too, show that the engine works"
    assert engine.drain(timeout_s=0), "a drain does not wait for them"


def test_a_model_leaves_without_waiting_for_its_background_images(
    engine, request_for, mailbox
) -> None:
    box = mailbox()
    engine.submit_background([request_for(steps=50)], box)
    engine.crank()
    left = engine._loop.dismiss("tiny")
    engine.crank()
    assert left.done()
    assert isinstance(box.lost[0].error, Cancelled)


def test_spare_time_work_is_told_of_every_picture_and_step(
    tiny: LoadedModel, hand_cranked, request_for, mailbox
) -> None:
    notebook = Notebook()
    engine = hand_cranked([tiny], queue_rows=100, max_rows=8, spare_time=notebook)
    engine.submit([request_for(steps=2, seed=1)], mailbox())
    engine.crank_until_idle()
    engine.submit_background([request_for(steps=1, seed=2)], mailbox())
    engine.crank_until_idle()
    assert notebook.seen == [(1, False), (2, True)]
    assert notebook.steps == [False, False, True]


def test_the_longest_wait_is_that_of_the_first_image_without_a_step(
    engine, request_for, mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("service.engine.engine.time.monotonic", lambda: now[0])
    assert engine.oldest_wait_s() == 0
    engine.submit([request_for(steps=3) for _ in range(9)], mailbox())  # eight rows at a time
    now[0] = 103.0
    engine.crank()
    assert engine.oldest_wait_s() == 3.0
    engine.crank(3)
    assert engine.oldest_wait_s() == 0
