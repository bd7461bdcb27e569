"""Two models beside each other: neither fills the other's queue, nor takes its turns."""

import pytest

from diffusion_core.model import LoadedModel
from service.errors import QueueFull
from tests.service.engine.conftest import HandCranked


@pytest.fixture
def both(tiny: LoadedModel, hand_cranked: type[HandCranked]) -> HandCranked:
    """An engine with the tiny model, and with the same by the name of another."""
    card = tiny.card.model_copy(update={"name": "other"})
    other = LoadedModel(card, tiny.network, tiny.decoder, tiny.digest, tiny.device)
    return hand_cranked([tiny, other], queue_rows=800, max_rows=8)


@pytest.fixture
def others(request_for):
    """The request of a test, to the other model."""
    return lambda **facts: request_for(model="other", **facts)


def test_a_full_queue_of_one_model_turns_nobody_of_another_away(
    both, request_for, others, mailbox
) -> None:
    both.submit([request_for(steps=100) for _ in range(8)], mailbox())
    with pytest.raises(QueueFull, match="the queue of tiny holds 800 of 800"):
        both.submit([request_for(steps=1)], mailbox())
    box = mailbox()
    both.submit([others(steps=3)], box)
    assert both.stats().queued_rows == 803
    both.crank(6)
    assert box.done


def test_an_image_is_in_the_queue_until_its_picture_is_out(both, request_for, mailbox) -> None:
    box = mailbox()
    both.submit([request_for(steps=2, guidance_scale=2.0)], box)
    told = []
    both._loop._observer.on_decode = lambda *_: told.append(both.stats().queued_rows)
    both.crank()
    assert both.stats().queued_rows == 2
    both.crank()
    assert told == [2]
    assert both.stats().queued_rows == 0
    assert both.drain(timeout_s=0)
