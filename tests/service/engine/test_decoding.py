"""Decoding takes turns with the steps: a slice after each, whatever waits."""

import torch

from diffusion_core.decoder import PixelDecoder
from diffusion_core.model import LoadedModel
from service.engine.requests import ImageDone, Report, StepDone
from service.errors import Cancelled, DeadlineMissed
from tests.fakes import alone


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
    return hand_cranked([model], queue_rows=1000, max_rows=8), decoder


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
