"""Whether the engine takes requests: asked by /readyz, and at every scrape."""

import logging
import time
from typing import Protocol

from .engine.stats import EngineStats
from .errors import Draining, NotReady, ServiceError

logger = logging.getLogger(__name__)

FRESH_S = 10.0  # progress so recent shows that the engine works
PROBE_TIMEOUT_S = 3.0  # or longer, where forwards are known to take longer


class ReadyEngine(Protocol):
    def stats(self) -> EngineStats: ...

    def probe(self, timeout_s: float) -> bool: ...


def check_ready(engine: ReadyEngine) -> None:
    """It made progress lately, or is at work and not overdue; else a probe forward is waited for.

    Raises Draining or NotReady.
    """
    stats = engine.stats()
    if stats.draining:
        raise Draining("the server is stopping")
    if _is_at_work(stats):
        return
    timeout_s = PROBE_TIMEOUT_S
    if stats.overdue_at is None:  # else the probe has to wait behind what may be stuck
        timeout_s = max(timeout_s, stats.probe_patience_s)
    # Meanwhile a long step may have begun, behind which the probe has to wait.
    if engine.probe(timeout_s) or _is_at_work(engine.stats()):
        return
    reason = f"a probe forward did not come through in {timeout_s:.3g} s"
    logger.warning("not ready: %s", reason)  # a balancer tells nobody what it was answered
    raise NotReady(reason)


def is_ready(engine: ReadyEngine) -> bool:
    try:
        check_ready(engine)
    except ServiceError:
        return False
    return True


def _is_at_work(stats: EngineStats) -> bool:
    now = time.monotonic()
    if stats.last_progress_at is not None and now - stats.last_progress_at < FRESH_S:
        return True
    return stats.overdue_at is not None and now < stats.overdue_at
