"""Every fault of the engine that the design names, injected."""

import threading
import time

import pytest
import torch

from diffusion_core.model import LoadedModel
from service.engine.engine import Engine
from service.errors import (
    Cancelled,
    DeadlineMissed,
    Draining,
    EngineFault,
    ImageFailed,
    OutOfMemory,
    QueueFull,
    RequestTooLarge,
)
from tests.service.engine.sabotage import HungryNetwork, Room, Sabotaged


def sabotage(engine, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch, **how) -> Sabotaged:
    network = Sabotaged(tiny.network, **how)
    model = LoadedModel(tiny.card, network, tiny.decoder, tiny.digest, tiny.device)
    monkeypatch.setattr(engine._loop.banks["tiny"], "model", model)
    return network


def test_a_cancelled_submission_frees_its_lanes_at_the_next_step(
    engine, request_for, mailbox
) -> None:
    box, other = mailbox(), mailbox()
    submission = engine.submit([request_for(steps=50) for _ in range(4)], box)
    engine.submit([request_for(steps=5)], other)
    engine.crank(2)
    submission.cancel()
    engine.crank()
    assert all(isinstance(event.error, Cancelled) for event in box.lost.values())
    assert len(box.lost) == 4
    assert engine.stats().lanes == 1
    assert engine.stats().queued_rows == 2  # the neighbour's last two steps
    engine.crank_until_idle()
    assert len(other.done) == 1


def test_cancelling_after_the_end_changes_nothing(engine, request_for, mailbox) -> None:
    box = mailbox()
    submission = engine.submit([request_for(steps=1)], box)
    engine.crank_until_idle()
    submission.cancel()
    submission.cancel()
    engine.crank()
    assert len(box.events) == 1


def test_a_missed_deadline_loses_that_image_alone(engine, request_for, mailbox) -> None:
    box, other = mailbox(), mailbox()
    engine.submit([request_for(steps=50, deadline_at=time.monotonic())], box)
    engine.submit([request_for(steps=2, deadline_at=time.monotonic() + 3600)], other)
    engine.crank_until_idle()
    assert isinstance(box.lost[0].error, DeadlineMissed)
    assert len(other.done) == 1
    assert engine.stats().network_evaluations == 2  # none was spent on the late one


def test_a_full_queue_refuses_and_says_when_to_come_back(engine, request_for, mailbox) -> None:
    engine.submit([request_for(steps=100) for _ in range(9)], mailbox())
    with pytest.raises(QueueFull) as refusal:
        engine.submit([request_for(steps=51, guidance_scale=2.0)], mailbox())
    # 900 + 102 rows against 1,000: two rows too many.
    assert refusal.value.retry_after_s == 1
    assert engine.stats().queued_rows == 900
    engine.submit([request_for(steps=50, guidance_scale=2.0)], mailbox())


def test_retry_after_is_the_time_until_there_is_room(engine, request_for, mailbox) -> None:
    engine._ledger.note_step("tiny", rows=10, duration_s=1.0)
    engine.submit([request_for(steps=250) for _ in range(4)], mailbox())
    with pytest.raises(QueueFull) as refusal:
        engine.submit([request_for(steps=95)], mailbox())
    assert refusal.value.retry_after_s == 10  # 95 rows at a tenth of a second, rounded up


def test_a_request_that_could_never_fit_is_refused_for_good(engine, request_for, mailbox) -> None:
    with pytest.raises(RequestTooLarge, match="at most 1000"):
        engine.submit([request_for(steps=101) for _ in range(10)], mailbox())


def test_nan_in_one_lane_fails_that_image_alone(
    engine, tiny, request_for, mailbox, monkeypatch
) -> None:
    clean = mailbox()
    engine.submit([request_for(class_label=1, seed=5, deterministic=True)], clean)
    engine.crank_until_idle()

    sabotage(engine, tiny, monkeypatch, nan_class=2)
    box, after = mailbox(), mailbox()
    engine.submit(
        [
            request_for(class_label=2, order=3, deterministic=True),
            request_for(class_label=1, seed=5, deterministic=True),
        ],
        box,
    )
    engine.crank_until_idle()
    assert isinstance(box.lost[0].error, ImageFailed)
    assert (box.done[1].pixels == clean.done[0].pixels).all()
    # The slot that held NaN is clean for its next lane.
    engine.submit([request_for(class_label=1, seed=5, deterministic=True)] * 16, after)
    engine.crank_until_idle()
    assert len(after.done) == 16


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_loses_the_newest_and_halves_the_row_limit(
    engine, tiny, request_for, mailbox, monkeypatch, error
) -> None:
    sabotage(engine, tiny, monkeypatch, error=error, max_rows=4)
    boxes = [mailbox() for _ in range(8)]
    for box in boxes:
        engine.submit([request_for(steps=2)], box)
    engine.crank_until_idle()
    assert [len(box.done) for box in boxes] == [1, 1, 1, 1, 0, 0, 0, 0]
    assert all(isinstance(box.lost[0].error, OutOfMemory) for box in boxes[4:])
    assert engine.stats().row_limits == {"tiny": 4}
    assert engine.stats().queued_rows == 0


def test_after_a_failed_step_the_device_gives_back_what_it_had_taken(
    engine, tiny, request_for, mailbox, monkeypatch
) -> None:
    room, free = Room(7), []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: free.append(room.free))
    network = HungryNetwork(tiny.network, room)
    model = LoadedModel(tiny.card, network, tiny.decoder, tiny.digest, tiny.device)
    monkeypatch.setattr(engine._loop.banks["tiny"], "model", model)
    engine.submit([request_for(steps=1, seed=n) for n in range(8)], mailbox())
    engine.crank_until_idle()
    assert network.rows == [8, 4]
    assert free == [7], "not while the frames of the error hold it"


def test_out_of_memory_between_steps_does_not_step_a_survivor_twice(
    engine, tiny, request_for, mailbox, monkeypatch
) -> None:
    alone = mailbox()
    engine.submit([request_for(steps=4, order=3, deterministic=True)], alone)
    engine.crank_until_idle()
    sabotage(engine, tiny, monkeypatch, error=MemoryError(), at=[3])
    first, second = mailbox(), mailbox()
    engine.submit([request_for(steps=4, order=3, deterministic=True)], first)
    engine.submit([request_for(steps=4, order=3, deterministic=True, seed=1)], second)
    engine.crank_until_idle()
    assert (first.done[0].pixels == alone.done[0].pixels).all()
    assert isinstance(second.lost[0].error, OutOfMemory)


def test_running_out_of_memory_while_decoding_loses_only_what_cannot_be_decoded(
    engine, request_for, mailbox, monkeypatch
) -> None:
    bank = engine._loop.banks["tiny"]
    decode = bank.finish

    def tight(slots):
        if len(slots) > 2:
            raise MemoryError
        return decode(slots)

    monkeypatch.setattr(bank, "finish", tight)
    box = mailbox()
    engine.submit([request_for(steps=1, seed=n) for n in range(7)], box)
    engine.crank_until_idle()
    assert len(box.done) == 7


def test_an_unforeseen_error_fails_its_batch_and_the_engine_goes_on(
    engine, tiny, request_for, mailbox, monkeypatch
) -> None:
    sabotage(engine, tiny, monkeypatch, error=ValueError("surprise"), at=[1])
    box, after = mailbox(), mailbox()
    engine.submit([request_for(steps=2)], box)
    engine.crank_until_idle()
    assert isinstance(box.lost[0].error, EngineFault)
    assert "surprise" not in str(box.lost[0].error)
    engine.submit([request_for(steps=2)], after)
    engine.crank_until_idle()
    assert len(after.done) == 1


@pytest.fixture
def running(tiny: LoadedModel):
    engine = Engine(queue_rows=100_000, max_rows=8)
    engine.start()
    engine.load(tiny)
    yield engine
    engine.stop()


class Waiter:
    """Counts down what the engine thread reports."""

    def __init__(self, expected: int):
        self.events = []
        self._expected = expected
        self.all_in = threading.Event()

    def __call__(self, event) -> None:
        self.events.append(event)
        if len(self.events) == self._expected:
            self.all_in.set()


def test_draining_finishes_what_runs_and_refuses_what_comes(running, request_for) -> None:
    waiter = Waiter(20)
    running.submit([request_for(steps=20, seed=n) for n in range(20)], waiter)
    assert running.drain(timeout_s=30)
    assert waiter.all_in.is_set()
    assert all(hasattr(event, "pixels") for event in waiter.events)
    with pytest.raises(Draining):
        running.submit([request_for()], waiter)


def test_stopping_loses_what_is_left_and_says_so(running, request_for) -> None:
    waiter = Waiter(50)
    running.submit([request_for(steps=200, seed=n) for n in range(50)], waiter)
    assert not running.drain(timeout_s=0)
    running.stop()
    assert waiter.all_in.is_set()
    assert any(isinstance(getattr(event, "error", None), Draining) for event in waiter.events)


def test_a_probe_tells_a_working_engine_from_a_stuck_one(
    running, tiny, request_for, monkeypatch
) -> None:
    assert running.probe(timeout_s=30)
    entered, gate = threading.Event(), threading.Event()

    class Stuck(torch.nn.Module):
        def forward(self, x, time, class_label):
            entered.set()
            gate.wait(30)
            return tiny.network(x, time, class_label)

    model = LoadedModel(tiny.card, Stuck(), tiny.decoder, tiny.digest, tiny.device)
    monkeypatch.setattr(running._loop.banks["tiny"], "model", model)
    running.submit([request_for(steps=1)], Waiter(1))
    assert entered.wait(30)
    assert not running.probe(timeout_s=0.05)
    gate.set()
    assert running.probe(timeout_s=30)


def test_a_failing_probe_leaves_the_engine_alive(running, tiny, request_for, monkeypatch) -> None:
    def broken(x, time, class_label):
        raise RuntimeError("no device")

    with monkeypatch.context() as patch:
        patch.setattr(tiny.network, "forward", broken)
        assert not running.probe(timeout_s=0.05)
    assert running.probe(timeout_s=30)
