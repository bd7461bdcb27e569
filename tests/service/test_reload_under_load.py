"""Versions are promoted back and forth while requests stream in: none fails, no image changes."""

import base64
import io
import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from solver_store.records import CHAMPION, Target
from tests.service.conftest import StartServer
from tests.service.live import PATIENCE_S, Live, wait_until
from tests.solver_store.builders import SOURCE, euler
from tests.solver_store.processes import Processes

NAME, STEPS = "glyphs", 6  # the name that the other process promotes
CARRIES = (1.0, 0.8)  # of version 1 and 2: their pictures can be told apart
SEEDS = range(3)
NUM_STREAMS = 4
FOLLOWED_S = 2.0

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Told:
    """A request and what came of it."""

    seed: int
    deterministic: bool
    version: int
    pixels: Pixels
    sent_at: float
    answered_at: float


@dataclass(frozen=True)
class Promotion:
    """A version was made the champion between two moments, and known everywhere some time later."""

    version: int
    began_at: float
    done_at: float
    grace_s: float = 0.0


def was_right(told: Told, promotions: Sequence[Promotion]) -> bool:
    """Whether the answer's version was in force at some moment between request and answer."""
    ends = [later.done_at + later.grace_s for later in promotions[1:]] + [math.inf]
    return any(
        told.version == promotion.version
        and told.answered_at >= promotion.began_at
        and told.sent_at <= ended_at
        for promotion, ended_at in zip(promotions, ends, strict=True)
    )


def ask(http: httpx.Client, solver: str, seed: int, deterministic: bool) -> Told:
    body = {
        "class_id": 1,
        "steps": STEPS,
        "solver": solver,
        "seed": seed,
        "deterministic": deterministic,
    }
    sent_at = time.monotonic()
    response = http.post("/generate", json=body)
    answered_at = time.monotonic()
    assert response.status_code == 200, response.text
    answer = response.json()
    version = answer["solver"]["version"]
    pixels = read(answer["images"][0]["base64"])
    return Told(seed, deterministic, version, pixels, sent_at, answered_at)


def read(png: str) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


class Load:
    """Streams of requests, each sent as soon as the one before it is answered."""

    def __init__(self, url: str) -> None:
        self.told: list[Told] = []
        self._url = url
        self._ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Raises what any request failed with."""
        with ThreadPoolExecutor(NUM_STREAMS) as pool:
            streams = [pool.submit(self._stream, n) for n in range(NUM_STREAMS)]
            try:
                yield
            finally:
                self._ended.set()
            for stream in streams:
                stream.result()

    def _stream(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as http:
            for n in count(number):
                if self._ended.is_set():
                    return
                solver = NAME if number % 2 else "auto"
                told = ask(http, solver, SEEDS[n % len(SEEDS)], deterministic=n % 2 == 0)
                self.told.append(told)

    def first_of(self, version: int, sent_after: float) -> Told:
        """The first that was sent then and got this version; waits for it."""
        wait_until(lambda: any(self._of(version, sent_after)))
        return min(self._of(version, sent_after), key=lambda told: told.sent_at)

    def _of(self, version: int, sent_after: float) -> list[Told]:
        told = list(self.told)
        return [one for one in told if one.version == version and one.sent_at > sent_after]


class Gate:
    """Holds forwards back while it is shut: what runs then stays in its middle."""

    def __init__(self, live: Live) -> None:
        self._open, self._held = threading.Event(), threading.Event()
        self._open.set()
        live.services.models["tiny"].network.register_forward_pre_hook(self._pass)

    def _pass(self, module: object, arguments: Any) -> None:
        if not self._open.is_set():
            self._held.set()
            self._open.wait(PATIENCE_S)

    @contextmanager
    def shut(self) -> Iterator[None]:
        self._held.clear()
        self._open.clear()
        try:
            assert self._held.wait(PATIENCE_S)
            yield
        finally:
            self._open.set()


class Promoter:
    """Promotes versions, by a request or from another process, and remembers when."""

    def __init__(self, live: Live, others: Processes) -> None:
        self.done = [Promotion(1, 0.0, 0.0)]
        self._live, self._others = live, others

    def by_request(self, version: int) -> None:
        body = {"version": version, "expected": self.done[-1].version}
        url = f"{self._live.url}/solvers/{NAME}/aliases/{CHAMPION}"
        began_at = time.monotonic()
        httpx.put(url, json=body).raise_for_status()
        self.done.append(Promotion(version, began_at, time.monotonic()))

    def by_another_process(self, version: int) -> None:
        url = self._live.services.settings.database
        work = ("promote", version, self.done[-1].version)
        began_at = time.monotonic()
        assert self._others.race(url, work) == [["won"]]
        self.done.append(Promotion(version, began_at, time.monotonic(), grace_s=FOLLOWED_S))


@pytest.fixture
def live(start_server: StartServer, home: Path, tmp_path: Path) -> Iterator[Live]:
    """A server with a store of its own, in which version 1 is the champion."""
    with start_server(home=tmp_path, models=(str(home / "models" / "tiny"),)) as live:
        store = live.services.store
        for carry in CARRIES:
            table = replace(euler(STEPS), carry=(carry,) * STEPS)
            store.publish(NAME, table, source=SOURCE, target=Target("tiny", 1.5))
        store.promote(NAME, CHAMPION, 1, expected=None, by="test")
        yield live


@pytest.fixture
def alone(live: Live) -> dict[tuple[int, int], Pixels]:
    """The picture of every version and seed, made with nothing beside it."""
    with httpx.Client(base_url=live.url, timeout=30) as http:
        pictures = {
            (version, seed): ask(http, f"{NAME}/{version}", seed, deterministic=True).pixels
            for version in (1, 2)
            for seed in SEEDS
        }
    assert all(distance(pictures[1, seed], pictures[2, seed]) > 10 for seed in SEEDS)
    return pictures


def test_promotions_under_load_cost_no_request_and_change_no_running_image(
    live: Live, alone: dict[tuple[int, int], Pixels]
) -> None:
    gate, load = Gate(live), Load(live.url)
    with Processes() as others, load.running():
        promoter = Promoter(live, others)
        load.first_of(1, sent_after=0.0)
        for promote in [promoter.by_request, promoter.by_another_process] * 3:
            version = 3 - promoter.done[-1].version
            with gate.shut():
                promote(version)
            done_at = promoter.done[-1].done_at
            assert load.first_of(version, done_at).sent_at - done_at < FOLLOWED_S

    for told in load.told:
        assert was_right(told, promoter.done)
        change = distance(told.pixels, alone[told.version, told.seed])
        assert change <= (0 if told.deterministic else 1)
    for before, after in pairwise(promoter.done):
        assert any(
            told.version == before.version
            and told.sent_at < after.began_at
            and told.answered_at > after.done_at
            for told in load.told
        ), "an image was running while its version was replaced"


def distance(one: Pixels, other: Pixels) -> int:
    """The largest difference of two pictures, in levels of 255."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())
