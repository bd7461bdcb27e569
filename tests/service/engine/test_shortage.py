"""Memory that is short: what it costs, what it does not, and that it passes."""

from collections.abc import Callable, Sequence

import pytest
import torch

from diffusion_core.model import LoadedModel
from service.engine.lanes import LaneBank
from service.engine.row_limit import FIRST_PATIENCE
from service.engine.shortage import DETERMINISM_AGAIN_S
from service.errors import DeterminismRefused, OutOfMemory
from tests.service.engine.conftest import HandCranked, Mailbox
from tests.service.engine.sabotage import HungryNetwork, Room

PADDED = 8  # the tiny card's deterministic rows

Short = Callable[[int, int], tuple[HandCranked, HungryNetwork]]


@pytest.fixture
def short(tiny: LoadedModel, hand_cranked: type[HandCranked]) -> Short:
    """An engine that may have so many rows, with room for so many."""

    def make(max_rows: int, room: int) -> tuple[HandCranked, HungryNetwork]:
        network = HungryNetwork(tiny.network, Room(room))
        model = LoadedModel(tiny.card, network, tiny.decoder, tiny.digest, tiny.device)
        return hand_cranked([model], queue_rows=100_000, max_rows=max_rows), network

    return make


def row_limit(engine: HandCranked) -> int:
    return engine.stats().row_limits["tiny"]


def outcomes(box: Mailbox) -> Sequence[str]:
    lost = {index: type(event.error).__name__ for index, event in box.lost.items()}
    return [lost.get(index, "done") for index in sorted([*box.done, *lost])]


def no_room(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_slots_without_room_lose_their_own_images_and_leave_the_row_limit(
    short: Short, request_for, mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = short(256, 1000)
    running, boxes = mailbox(), [mailbox() for _ in range(7)]
    engine.submit([request_for(steps=30, seed=n) for n in range(16)], running)
    engine.crank()
    with monkeypatch.context() as patch:
        patch.setattr(LaneBank, "_grow", no_room)
        for box in boxes:
            engine.submit([request_for(steps=1)], box)
            engine.crank()
    assert [outcomes(box) for box in boxes] == [["OutOfMemory"]] * 7
    assert row_limit(engine) == 256
    engine.crank_until_idle()
    assert outcomes(running) == ["done"] * 16
    assert engine.stats().queued_rows == 0


def test_of_several_new_images_without_room_one_is_lost_a_step_and_the_rest_wait(
    short: Short, request_for, mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = short(256, 1000)
    box = mailbox()
    engine.submit([request_for(steps=2, seed=n) for n in range(20)], box)
    with monkeypatch.context() as patch:
        patch.setattr(LaneBank, "_grow", no_room)
        engine.crank()
        assert (engine.stats().lanes, len(box.lost)) == (16, 1)
        engine.crank()
    engine.crank_until_idle()
    assert len(box.done) == 18


def test_rows_come_back_with_the_memory_and_no_image_is_lost_in_trying(
    short: Short, request_for, mailbox
) -> None:
    engine, network = short(8, 4)
    before, after = mailbox(), mailbox()
    engine.submit([request_for(steps=1, seed=n) for n in range(8)], before)
    engine.crank()
    assert outcomes(before) == ["OutOfMemory"] * 4
    assert row_limit(engine) == 4

    engine.submit([request_for(steps=100, seed=n) for n in range(24)], after)
    engine.crank(2 * FIRST_PATIENCE + 1)
    assert network.rows[-2:] == [8, 4], "tried in vain, with zeros"
    assert row_limit(engine) == 4
    network.room.free += 4
    engine.crank(4 * FIRST_PATIENCE)
    assert row_limit(engine) == 8
    assert network.rows[-1] == 8
    assert not after.lost


def test_deterministic_images_without_room_are_refused_for_good_and_halve_nothing_more(
    short: Short, request_for, mailbox
) -> None:
    engine, network = short(32, PADDED - 1)
    boxes = [mailbox() for _ in range(5)]
    others = mailbox()
    engine.submit([request_for(steps=9, seed=n) for n in range(3)], others)
    for box in boxes:
        engine.submit([request_for(steps=2, deterministic=True)], box)
        engine.crank()
    assert [outcomes(box) for box in boxes] == [["DeterminismRefused"]] * 5
    told = str(boxes[0].lost[0].error)
    assert f"need forwards of {PADDED} network rows" in told
    assert "again" not in told
    assert row_limit(engine) == PADDED // 2
    assert network.rows.count(PADDED) == 2, "the step that failed and the forward that settles it"
    engine.crank_until_idle()
    assert outcomes(others) == ["done"] * 3


def test_images_that_ride_along_with_deterministic_ones_go_on_without_them(
    short: Short, request_for, mailbox
) -> None:
    engine, _ = short(32, PADDED - 1)
    fixed, free = mailbox(), mailbox()
    engine.submit([request_for(steps=2, deterministic=True, seed=n) for n in range(2)], fixed)
    engine.submit([request_for(steps=2, seed=n) for n in range(2)], free)
    engine.crank_until_idle()
    assert outcomes(fixed) == ["DeterminismRefused"] * 2
    assert outcomes(free) == ["done"] * 2


def test_deterministic_images_are_tried_again_when_a_minute_has_passed(
    short: Short, request_for, mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, network = short(32, PADDED - 1)
    now = [1000.0]
    monkeypatch.setattr("service.engine.shortage.time.monotonic", lambda: now[0])
    first, second, third = mailbox(), mailbox(), mailbox()
    engine.submit([request_for(deterministic=True)], first)
    engine.crank()
    network.room.free += 1
    engine.submit([request_for(deterministic=True)], second)
    engine.crank()
    now[0] += DETERMINISM_AGAIN_S
    engine.submit([request_for(deterministic=True)], third)
    engine.crank_until_idle()
    assert isinstance(first.lost[0].error, DeterminismRefused)
    assert isinstance(second.lost[0].error, DeterminismRefused)
    assert third.done


def test_a_shortage_that_has_passed_loses_the_newest_and_no_rows(
    short: Short, request_for, mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = short(32, PADDED)
    bank = engine._loop.banks["tiny"]
    real = bank.advance

    def once(*_: object) -> None:
        monkeypatch.setattr(bank, "advance", real)
        no_room()

    monkeypatch.setattr(bank, "advance", once)
    box = mailbox()
    engine.submit([request_for(deterministic=True, seed=n) for n in range(2)], box)
    engine.crank_until_idle()
    assert box.done.keys() == {0}
    assert isinstance(box.lost[1].error, OutOfMemory)
    assert row_limit(engine) == 32
