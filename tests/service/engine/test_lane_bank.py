"""A lane bank in which memory runs out is as it was before; a step ends when it is done."""

import weakref
from dataclasses import replace

import pytest
import torch

from diffusion_core.decoder import PixelDecoder
from diffusion_core.model import LoadedModel
from service.engine.lanes import LaneBank, LaneStep
from service.engine.requests import Report
from service.errors import OutOfMemory
from tests.service.engine.fake_cuda import Costly, LaterDevice

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory")


def test_a_bank_that_cannot_grow_is_as_large_as_before(tiny, request_for, monkeypatch) -> None:
    bank = LaneBank(tiny, capacity=2)
    for seed in range(2):
        bank.admit(request_for(order=3, seed=seed))
    assert bank.num_used == 2
    real, calls = torch.cat, []

    def tight(tensors):
        calls.append(len(tensors))
        if len(calls) == 3:  # the state, a history slot, and no more
            raise OUT_OF_MEMORY
        return real(tensors)

    with monkeypatch.context() as patch:
        patch.setattr("service.engine.lanes.torch.cat", tight)
        with pytest.raises(torch.OutOfMemoryError):
            bank.admit(request_for(order=3, seed=2))
    assert bank.num_used == 2
    # Then there is room again: all of the lanes step together, to where each comes alone.
    requests = [request_for(order=3, seed=seed) for seed in range(2, 5)]
    slots = [bank.admit(request) for request in requests]
    assert bank.num_used == 5
    assert len({*slots}) == 3
    with torch.inference_mode():
        bank.advance([LaneStep(s, r, 0) for s, r in zip(slots, requests, strict=True)], pad_to=0)


def test_a_bank_without_room_for_a_long_history_keeps_none_of_it(
    tiny, request_for, monkeypatch
) -> None:
    bank = LaneBank(tiny, capacity=2)
    bank.admit(request_for(order=1))
    long = request_for(steps=5, order=5)
    real, calls = torch.zeros_like, []

    def tight(like):
        calls.append(like)
        if len(calls) == 3:
            raise OUT_OF_MEMORY
        return real(like)

    with monkeypatch.context() as patch:
        patch.setattr("service.engine.lanes.torch.zeros_like", tight)
        with pytest.raises(torch.OutOfMemoryError):
            bank.admit(long)
    assert len(bank._history) == 1
    assert bank.num_used == 1


def test_a_bank_that_is_empty_gives_back_what_it_had_grown(tiny, request_for, monkeypatch) -> None:
    bank = LaneBank(tiny, capacity=2)
    requests = [request_for(steps=5, order=5, seed=seed) for seed in range(5)]
    slots = [bank.admit(request) for request in requests]
    grown = [weakref.ref(tensor) for tensor in (bank._state, *bank._history)]
    assert len(grown) == 6
    with monkeypatch.context() as patch:
        patch.setattr("service.engine.lanes.torch.zeros", None)  # none has to be there for it
        for slot in slots[1:]:
            bank.release(slot)
        assert all(tensor() is not None for tensor in grown), "one lane is left"
        bank.release(slots[0])
    assert all(tensor() is None for tensor in grown)
    assert bank.num_used == 0
    # And it serves as before.
    again = [bank.admit(request) for request in requests]
    assert len({*again}) == bank.num_used == 5
    with torch.inference_mode():
        steps = [LaneStep(s, r, 0) for s, r in zip(again, requests, strict=True)]
        bank.advance(steps, pad_to=0)


def test_a_lane_that_cannot_be_admitted_takes_no_slot(tiny, request_for, monkeypatch) -> None:
    bank = LaneBank(tiny, capacity=2)

    def none(*_):
        raise OUT_OF_MEMORY

    with monkeypatch.context() as patch:
        patch.setattr("service.engine.lanes.initial_noise", none)
        with pytest.raises(torch.OutOfMemoryError):
            bank.admit(request_for())
    assert bank.num_used == 0


class NoPreviews(PixelDecoder):
    """Fails at the first so many previews."""

    def __init__(self, failures: int):
        self.failures = failures

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        if self.failures > 0:
            self.failures -= 1
            raise OUT_OF_MEMORY
        return super().preview(latents)


def test_out_of_memory_at_a_preview_does_not_step_a_survivor_twice(
    engine, tiny: LoadedModel, request_for, mailbox, monkeypatch
) -> None:
    how = {"steps": 4, "order": 3, "deterministic": True, "report": Report.PREVIEWS}
    alone = mailbox()
    engine.submit([request_for(**how)], alone)
    engine.crank_until_idle()
    model = LoadedModel(tiny.card, tiny.network, NoPreviews(1), tiny.digest, tiny.device)
    monkeypatch.setattr(engine._loop.banks["tiny"], "model", model)
    first, second = mailbox(), mailbox()
    engine.submit([request_for(**how)], first)
    engine.submit([request_for(**how, seed=1)], second)
    engine.crank_until_idle()
    assert (first.done[0].pixels == alone.done[0].pixels).all()
    assert isinstance(second.lost[0].error, OutOfMemory)


def test_a_step_lasts_until_the_device_has_done_it(tiny, request_for, monkeypatch) -> None:
    device = LaterDevice()
    monkeypatch.setattr("service.engine.lanes.synchronise", device.synchronise)
    network = Costly(tiny.network, lambda rows: device.ask(0.5))
    bank = LaneBank(replace(tiny, network=network))
    request = request_for(steps=2)
    slot = bank.admit(request)
    with torch.inference_mode():
        for step in range(2):
            bank.advance([LaneStep(slot, request, step)], pad_to=0)
            assert (device.now, device.pending) == (0.5 * (step + 1), 0.0)
