"""Follows the store: what was promoted anywhere is served within a second, without a restart."""

import logging
import threading
from typing import Protocol

from solver_store.errors import StoreError

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.0


class Refreshable(Protocol):
    def refresh(self) -> bool:
        """Forget what is out of date. Returns whether anything was."""


class StoreFollower:
    """A thread that asks for the store's revision, one cheap query at a time.

    A store that cannot be reached is no reason to stop: what is in memory is served on.
    """

    def __init__(self, selector: Refreshable, interval_s: float = POLL_INTERVAL_S):
        self._selector = selector
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._in_touch = True
        self._thread = threading.Thread(target=self._follow, name="store-follower", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stopped.wait(self._interval_s):
            self.poll()

    def poll(self) -> None:
        """Look once; says so in the log when the store goes away, and when it is back."""
        try:
            if self._selector.refresh():
                logger.info("the store has changed: new requests get its present solvers")
        except StoreError as error:
            if self._in_touch:
                logger.warning("the store cannot be followed: %s", error)
            self._in_touch = False
            return
        if not self._in_touch:
            logger.info("the store is followed again")
        self._in_touch = True
