"""Decoding takes turns with the steps: a slice after each, and more where too much waits."""

import torch

from diffusion_core.decoder import PixelDecoder
from diffusion_core.model import LoadedModel
from service.engine.requests import ImageDone, Report, StepDone
from service.errors import Cancelled, DeadlineMissed, OutOfMemory, QueueFull
from tests.fakes import alone
from tests.service.engine.sabotage import HungryDecoder, Room


class OneAtATime(PixelDecoder):
    images_at_once = 1

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(latents))
        return latents


def slow_engine(tiny, hand_cranked):
    decoder = OneAtATime()
    model = LoadedModel(tiny.card, tiny.network, decoder, tiny.digest, tiny.device)
    card = tiny.card.model_copy(update={"name": "quick"})
    quick = LoadedModel(card, tiny.network, tiny.decoder, tiny.digest, tiny.device)
    return hand_cranked([model, quick], queue_rows=1000, max_rows=8), decoder


def test_one_slice_is_decoded_after_each_step(tiny, hand_cranked, request_for, mailbox) -> None:
    engine, decoder = slow_engine(tiny, hand_cranked)
    short, long = mailbox(), mailbox()
    engine.submit([request_for(steps=1, seed=n) for n in range(3)], short)
    engine.submit([request_for(steps=5, seed=9)], long)
    for num_done in (1, 2, 3):
        engine.crank()
        assert len(short.done) == num_done
    assert not long.done  # it stepped meanwhile, and its turn comes
    engine.crank(2)
    assert list(long.done) == [0]
    assert decoder.sizes == [1, 1, 1, 1]


def test_pictures_that_waited_are_those_that_were_asked_for(
    tiny, hand_cranked, request_for, mailbox
) -> None:
    engine, _ = slow_engine(tiny, hand_cranked)
    requests, box = [request_for(steps=2, seed=n) for n in range(4)], mailbox()
    engine.submit(requests, box)
    engine.crank(5)
    for index, request in enumerate(requests):
        assert (box.done[index].pixels == alone(tiny, request)).all()
    assert engine.stats().queued_rows == engine.stats().lanes == 0


def test_no_more_is_sampled_than_can_be_decoded_soon(
    tiny, hand_cranked, request_for, mailbox
) -> None:
    engine, decoder = slow_engine(tiny, hand_cranked)
    box = mailbox()
    engine.submit([request_for(steps=1, seed=n) for n in range(60)], box)
    for num_done in range(1, 61):
        engine.crank()
        assert engine.stats().lanes <= 2 + 8, "two slices, and what a forward adds"
        assert len(box.done) == num_done, "there is always one to decode"
    assert decoder.sizes == [1] * 60


def test_images_that_wait_for_their_decoding_keep_the_queue_full(
    tiny, hand_cranked, request_for, mailbox
) -> None:
    engine, _ = slow_engine(tiny, hand_cranked)
    refused = 0
    for _ in range(600):
        try:
            engine.submit([request_for(steps=1) for _ in range(50)], mailbox())
        except QueueFull:
            refused += 1
        engine.crank()
    assert engine.stats().queued_rows <= 1000
    assert refused > 500


def test_steps_wait_for_no_more_decoding_than_brings_it_down_to_two_slices(
    tiny, hand_cranked, request_for, mailbox
) -> None:
    engine, _ = slow_engine(tiny, hand_cranked)
    short, long = mailbox(), mailbox()
    engine.submit([request_for(steps=1, seed=n) for n in range(7)], short)
    engine.submit([request_for(steps=5, seed=9)], long)
    engine.crank()
    assert engine.stats().steps == 1
    engine.crank(4)  # of the six that wait four are decoded
    assert (engine.stats().steps, len(short.done)) == (1, 5)
    engine.crank(4)
    assert (len(short.done), len(long.done)) == (7, 1)


def test_a_model_that_steps_on_is_not_held_up_by_what_another_has_to_decode(
    tiny, hand_cranked, request_for, mailbox
) -> None:
    engine, _ = slow_engine(tiny, hand_cranked)
    engine.submit([request_for(steps=1, seed=n) for n in range(60)], mailbox())
    engine.crank(5)
    quick = mailbox()
    engine.submit([request_for(steps=8, model="quick")], quick)
    engine.crank(16)  # a step of each in turn at most, and the first slice is its own
    assert quick.done


def test_background_images_that_wait_hold_up_nobody(
    tiny, hand_cranked, request_for, mailbox
) -> None:
    engine, decoder = slow_engine(tiny, hand_cranked)
    engine.submit_background([request_for(steps=1, seed=n) for n in range(8)], mailbox())
    engine.crank()
    box = mailbox()
    engine.submit([request_for(steps=3)], box)
    engine.crank(3)
    assert box.done
    assert decoder.sizes == [1, 1]


def test_a_decoding_that_fails_gives_back_what_it_took_before_less_is_tried(
    tiny, hand_cranked, request_for, mailbox
) -> None:
    """Room for nine units, two for each image: eight at once need sixteen, four have room."""
    decoder = HungryDecoder(Room(9))
    model = LoadedModel(tiny.card, tiny.network, decoder, tiny.digest, tiny.device)
    engine = hand_cranked([model], queue_rows=100, max_rows=8)
    box = mailbox()
    engine.submit([request_for(steps=1, seed=n) for n in range(8)], box)
    engine.crank()
    assert decoder.sizes == [8, 4, 4]
    assert list(box.done) == list(range(8))


def test_a_picture_that_has_no_room_even_alone_is_lost_alone(
    tiny, hand_cranked, request_for, mailbox
) -> None:
    decoder = HungryDecoder(Room(1))
    model = LoadedModel(tiny.card, tiny.network, decoder, tiny.digest, tiny.device)
    engine = hand_cranked([model], queue_rows=100, max_rows=8)
    box = mailbox()
    engine.submit([request_for(steps=1, seed=n) for n in range(2)], box)
    engine.crank()
    assert [type(lost.error) for lost in box.lost.values()] == [OutOfMemory, OutOfMemory]
    decoder.room.free = 2
    after = mailbox()
    engine.submit([request_for(steps=1)], after)
    engine.crank()
    assert after.done


def test_a_client_that_hangs_up_is_not_decoded_for(
    tiny, hand_cranked, request_for, mailbox
) -> None:
    engine, decoder = slow_engine(tiny, hand_cranked)
    box = mailbox()
    submission = engine.submit([request_for(steps=1, seed=n) for n in range(3)], box)
    engine.crank()
    submission.cancel()
    engine.crank(3)
    assert decoder.sizes == [1]
    assert [type(lost.error) for lost in box.lost.values()] == [Cancelled, Cancelled]


def test_a_deadline_holds_while_a_picture_waits_to_be_decoded(
    tiny, hand_cranked, request_for, mailbox, monkeypatch
) -> None:
    engine, _ = slow_engine(tiny, hand_cranked)
    now = [0.0]
    monkeypatch.setattr("service.engine.engine.time.monotonic", lambda: now[0])
    box = mailbox()
    engine.submit([request_for(steps=1, seed=n, deadline_at=10.0) for n in range(2)], box)
    engine.crank()
    now[0] = 11.0
    engine.crank()
    assert isinstance(box.done[0], ImageDone)
    assert isinstance(box.lost[1].error, DeadlineMissed)


def test_previews_use_the_cheap_decoder(tiny, hand_cranked, request_for, mailbox) -> None:
    engine, decoder = slow_engine(tiny, hand_cranked)
    box = mailbox()
    engine.submit([request_for(steps=3, report=Report.PREVIEWS)], box)
    engine.crank(3)
    assert sum(isinstance(event, StepDone) for event in box.events) == 3
    assert decoder.sizes == [1]
