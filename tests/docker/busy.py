"""A server that has seen all there is to see, and goes on working."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from diffusion_core.classic import classical_table
from search_jobs.spec import JobState
from service.fid_proxy.samples import Series, Source
from service.settings import Settings
from solver_store.records import CHAMPION, Target
from tests.fakes import write_tiny_model
from tests.service.fid_proxy.judged import judge_of
from tests.service.live import Live, running, wait_until
from tests.service.searches import Worker, post

STEPS = 4
PAUSE_S = 0.2  # between two rounds of traffic


@contextmanager
def busy_server(home: Path) -> Iterator[Live]:
    """A promotion, searches that ended well and badly, one that runs; requests of all outcomes."""
    write_tiny_model(home / "models")
    settings = Settings(
        home=home, models=("tiny",), device="cpu", threads=1, max_rows=8, port=0, workers=0
    )
    with running(settings) as live, httpx.Client(base_url=live.url, timeout=30) as http:
        model = live.services.models["tiny"]
        live.services.fid_proxy.watch(model, judge_of(model))
        _promote_twice(live, http)
        _search(live, http)
        with _traffic(live.url):
            yield live


def _promote_twice(live: Live, http: httpx.Client) -> None:
    """Each champion draws until the proxy tells of it."""
    store, proxy = live.services.store, live.services.fid_proxy
    target = Target("tiny", live.services.models["tiny"].card.default_guidance_scale)
    name = target.solver_name(STEPS)
    series, expected = Series("tiny", name, STEPS, Source.LIVE), None
    for version, solver in enumerate(("euler", "ab2"), start=1):
        table = classical_table(solver, "rectified-flow", STEPS)
        store.publish(name, table, source={}, target=target)
        store.promote(name, CHAMPION, version, expected=expected, by="test")
        live.services.selector.refresh()
        expected = version

        def is_told(before: bool = version > 1) -> bool:
            _draw(http)
            standing = proxy.standings.get(series)
            return bool(standing and standing.reading and (standing.previous or not before))

        wait_until(is_told)


def _draw(http: httpx.Client) -> None:
    for class_id in range(4):
        http.post(
            "/generate", json={"class_id": class_id, "steps": STEPS, "num_images": 4}
        ).raise_for_status()


def _search(live: Live, http: httpx.Client) -> None:
    worker = Worker(live.services)
    for state in (JobState.SUCCEEDED, JobState.FAILED):
        claim = worker.claim(post(http, steps=5).id)
        worker.jobs.finish(claim, state, "lost" if state is JobState.FAILED else None)
    worker.report(worker.claim(post(http, steps=6).id), 0.5, loss=0.1)


@contextmanager
def _traffic(url: str) -> Iterator[None]:
    """Images at several step counts, and a request that breaks a rule, until the block ends."""
    done = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=url, timeout=30) as http:
            for steps in itertools.cycle((1, STEPS, 40)):
                http.post("/generate", json={"class_id": 0, "steps": steps, "num_images": 3})
                http.post("/generate", json={"class_id": -1, "steps": steps})
                if done.wait(PAUSE_S):
                    return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
