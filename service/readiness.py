"""Whether the engine takes requests: asked by /readyz, and at every scrape."""

import logging
import time
from typing import Protocol

from .engine.stats import EngineStats
from .errors import Draining, NotReady, ServiceError

logger = logging.getLogger(__name__)

FRESH_S = 10.0  # a step so recent shows that the engine works
PROBE_TIMEOUT_S = 3.0


class ReadyEngine(Protocol):
    def stats(self) -> EngineStats: ...

    def probe(self, timeout_s: float) -> bool: ...


def check_ready(engine: ReadyEngine) -> None:
    """It made a step lately, or a probe forward comes through now: waits for that.

    Raises Draining or NotReady.
    """
    stats = engine.stats()
    if stats.draining:
        raise Draining("the server is stopping")
    if stats.last_step_at is not None and time.monotonic() - stats.last_step_at < FRESH_S:
        return
    if not engine.probe(PROBE_TIMEOUT_S):
        reason = f"a probe forward did not come through in {PROBE_TIMEOUT_S:g} s"
        logger.warning("not ready: %s", reason)  # a balancer tells nobody what it was answered
        raise NotReady(reason)


def is_ready(engine: ReadyEngine) -> bool:
    try:
        check_ready(engine)
    except ServiceError:
        return False
    return True
