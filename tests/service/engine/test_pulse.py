"""What counts as a sign of life of the engine's thread, and what does not."""

from collections.abc import Callable

import pytest
import torch

from diffusion_core.decoder import PixelDecoder
from diffusion_core.model import LoadedModel
from service.engine import pulse as pulses
from service.engine.engine import Engine
from service.engine.pulse import LEAST_ALLOWED_S, PATIENCE, UNKNOWN_ALLOWED_S, Pulse, Work
from tests.service.engine.sabotage import Sabotaged


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pulses.time, "monotonic", clock)
    return clock


Do = Callable[..., None]


@pytest.fixture
def pulse() -> Pulse:
    return Pulse()


@pytest.fixture
def do(pulse: Pulse, clock: Clock) -> Do:
    """A forward that takes so long."""

    def forward(seconds: float, model: str = "m") -> None:
        with pulse.working(model, Work.FORWARD):
            clock.now += seconds

    return forward


def allowed_s(pulse: Pulse, clock: Clock, model: str = "m") -> float:
    """What the next forward may take."""
    with pulse.working(model, Work.FORWARD):
        assert pulse.overdue_at is not None
        return pulse.overdue_at - clock.now


def test_its_end_is_progress_and_then_nothing_is_in_flight(
    pulse: Pulse, clock: Clock, do: Do
) -> None:
    assert pulse.last_progress_at is None
    do(7.0)
    assert pulse.last_progress_at == clock.now
    assert pulse.overdue_at is None


def test_a_multiple_of_what_a_model_took_is_allowed_to_that_model(
    pulse: Pulse, clock: Clock, do: Do
) -> None:
    assert allowed_s(pulse, clock) == UNKNOWN_ALLOWED_S
    do(8.0)
    assert allowed_s(pulse, clock) == PATIENCE * 8.0
    do(0.1, model="small")
    assert allowed_s(pulse, clock, model="small") == LEAST_ALLOWED_S
    assert pulse.patience_s("m", Work.DECODING) == 0, "nobody has seen one"


def test_the_longest_is_remembered_but_fades(pulse: Pulse, clock: Clock, do: Do) -> None:
    do(30.0)
    do(6.0)
    assert PATIENCE * 6.0 < allowed_s(pulse, clock) < PATIENCE * 30.0
    for _ in range(50):
        do(6.0)
    assert allowed_s(pulse, clock) == PATIENCE * 6.0


def test_after_a_failure_only_an_end_counts(pulse: Pulse, clock: Clock, do: Do) -> None:
    do(8.0)
    since = pulse.last_progress_at
    with pytest.raises(ZeroDivisionError), pulse.working("m", Work.FORWARD):
        raise ZeroDivisionError
    clock.now += 1.0
    assert pulse.last_progress_at == since
    assert allowed_s(pulse, clock) == 0
    assert allowed_s(pulse, clock) > LEAST_ALLOWED_S, "it has come through"


def test_a_probe_in_flight_shows_nothing_yet(pulse: Pulse, clock: Clock) -> None:
    with pulse.trying("m", Work.FORWARD):
        assert pulse.overdue_at == clock.now
    assert pulse.last_progress_at == clock.now


def progress(engine: Engine) -> float | None:
    return engine.stats().last_progress_at


def test_a_step_and_a_slice_of_decoding_are_progress_each(
    tiny: LoadedModel, hand_cranked, request_for, mailbox
) -> None:
    seen: list[float | None] = []

    class Watching(PixelDecoder):
        def __call__(self, latents: torch.Tensor) -> torch.Tensor:
            seen.append(progress(engine))
            assert engine.stats().overdue_at is not None
            return latents

    model = LoadedModel(tiny.card, tiny.network, Watching(), tiny.digest, tiny.device)
    engine = hand_cranked([model], queue_rows=100, max_rows=8)
    engine.submit([request_for(steps=1)], mailbox())
    assert progress(engine) is None
    engine.crank()
    assert seen[0] is not None
    assert progress(engine) > seen[0]
    assert engine.stats().probe_patience_s > 0


def test_a_step_that_fails_is_none(
    engine, tiny: LoadedModel, request_for, mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Sabotaged(tiny.network, error=ValueError("surprise"), at=[1])
    model = LoadedModel(tiny.card, network, tiny.decoder, tiny.digest, tiny.device)
    monkeypatch.setattr(engine._loop.banks["tiny"], "model", model)
    engine.submit([request_for(steps=1)], mailbox())
    engine.crank()
    assert progress(engine) is None


def test_the_forwards_by_which_a_model_is_measured_are_progress(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Engine(queue_rows=100)
    seen: list[bool] = []

    def measure(model: LoadedModel, time_step: Callable[[LoadedModel, int], float]) -> int:
        assert progress(running) is None
        time_step(model, 2)
        seen.append(progress(running) is not None)
        return 2

    monkeypatch.setattr("service.engine.engine.best_row_count", measure)
    running.start()
    try:
        running.load(tiny)
    finally:
        running.stop()
    assert seen == [True]
