"""A device that is broken for good is told from a step that failed."""

import logging
from dataclasses import replace

import pytest
import torch

from tests.service.engine.sabotage import Sabotaged

FAULT = torch.AcceleratorError(
    "CUDA error: an illegal memory access was encountered\nFor debugging"
)


@pytest.fixture
def break_device(engine, tiny, monkeypatch):
    """From the first forward on, every one fails, and so does waiting for the device."""

    def broken(device: torch.device) -> None:
        raise FAULT

    def break_it(waiting_fails: bool) -> None:
        model = replace(tiny, network=Sabotaged(tiny.network, FAULT, max_rows=0))
        monkeypatch.setattr(engine._loop.banks["tiny"], "model", model)
        if waiting_fails:
            monkeypatch.setattr("service.engine.device_health.synchronise", broken)

    return break_it


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]


TOLD = (
    "cpu is broken (CUDA error: an illegal memory access was encountered): "
    "only a new process can use it again"
)


def test_a_step_that_fails_on_a_broken_device_is_told_as_that_and_only_once(
    engine, request_for, mailbox, break_device, caplog
) -> None:
    break_device(waiting_fails=True)
    for _ in range(3):
        engine.submit([request_for(steps=2)], mailbox())
        engine.crank_until_idle()
    assert engine.device_fault == TOLD
    assert faults(caplog) == [f"{TOLD}; /livez says so until this one ends"]


def test_a_step_that_fails_on_a_working_device_is_no_fault_of_the_device(
    engine, request_for, mailbox, break_device, caplog
) -> None:
    break_device(waiting_fails=False)
    box = mailbox()
    engine.submit([request_for(steps=2)], box)
    engine.crank_until_idle()
    assert box.lost
    assert engine.device_fault is None
    assert faults(caplog) == []


def test_an_idle_engine_learns_of_it_by_a_probe(engine, break_device) -> None:
    break_device(waiting_fails=True)
    assert not engine.probe(timeout_s=0.0)
    engine.crank()
    assert engine.device_fault == TOLD
