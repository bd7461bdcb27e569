"""A tiny model, an engine that is stepped by hand, and tables written by hand."""

from collections.abc import Callable, Sequence

import pytest
import torch

from diffusion_core.model import LoadedModel, load_model
from diffusion_core.program import StepProgram, compile_program
from service.engine.engine import Engine
from service.engine.requests import EngineEvent, ImageDone, ImageLost, ImageRequest, Report
from service.engine.spare_time import SpareTimeWork
from solver_store.table import Prediction, SolverTable
from tests.fakes import write_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(write_tiny_model(tmp_path_factory.mktemp("models")), torch.device("cpu"))


def table(steps: int, order: int = 1) -> SolverTable:
    """Uniform steps; from order 2 on the newest predictions are mixed with made-up weights."""
    times = tuple(n / steps for n in range(steps + 1))
    rows = [
        tuple((1.5 if k == 0 else -0.5 / order) / steps for k in reversed(range(min(n + 1, order))))
        for n in range(steps)
    ]
    return SolverTable(
        "rectified-flow", Prediction.VELOCITY, times[:-1], times, (1.0,) * steps, tuple(rows)
    )


MakeProgram = Callable[..., StepProgram]
MakeRequest = Callable[..., ImageRequest]


@pytest.fixture
def program(tiny: LoadedModel) -> MakeProgram:
    def make(steps: int, order: int = 1) -> StepProgram:
        return compile_program(table(steps, order), tiny.card.kind)

    return make


@pytest.fixture
def request_for(program: MakeProgram) -> MakeRequest:
    def make(
        steps: int = 3,
        order: int = 1,
        class_label: int = 0,
        guidance_scale: float = 1.0,
        seed: int = 0,
        deterministic: bool = False,
        deadline_at: float | None = None,
        report: Report = Report.NOTHING,
        guided_channels: int | None = None,
        model: str = "tiny",
    ) -> ImageRequest:
        return ImageRequest(
            model,
            program(steps, order),
            class_label,
            guidance_scale,
            seed,
            deterministic,
            deadline_at,
            report,
            guided_channels,
        )

    return make


class Mailbox:
    """Collects what the engine says, by image."""

    def __init__(self) -> None:
        self.events: list[EngineEvent] = []

    def __call__(self, event: EngineEvent) -> None:
        self.events.append(event)

    @property
    def done(self) -> dict[int, ImageDone]:
        return {event.index: event for event in self.events if isinstance(event, ImageDone)}

    @property
    def lost(self) -> dict[int, ImageLost]:
        return {event.index: event for event in self.events if isinstance(event, ImageLost)}


@pytest.fixture
def mailbox() -> Callable[[], Mailbox]:
    return Mailbox


class HandCranked(Engine):
    """An engine whose thread is never started: tests turn it step by step."""

    def __init__(
        self,
        models: Sequence[LoadedModel],
        queue_rows: int,
        max_rows: int,
        spare_time: SpareTimeWork | None = None,
    ):
        super().__init__(queue_rows, max_rows, spare_time=spare_time)
        for model in models:
            self._loop.seat(model, max_rows)

    def crank(self, steps: int = 1) -> None:
        with torch.inference_mode():
            for _ in range(steps):
                self._inbox.obey_all()
                self._loop.step()

    def crank_until_idle(self) -> None:
        self.crank()
        while len(self._loop.scheduler):
            self.crank()


@pytest.fixture
def engine(tiny: LoadedModel) -> HandCranked:
    return HandCranked([tiny], queue_rows=1000, max_rows=8)


@pytest.fixture
def hand_cranked() -> type[HandCranked]:
    return HandCranked
