"""A thread that reconciles the database and Redis, again and again."""

import logging
import threading

from solver_store.errors import StoreError

from .errors import SearchError
from .queue import SearchQueue

logger = logging.getLogger(__name__)

PERIOD_S = 0.5


class Reconciler:
    """Calls `queue.reconcile` until it is stopped; failures are logged when they begin and end."""

    def __init__(self, queue: SearchQueue, period_s: float = PERIOD_S) -> None:
        self._queue = queue
        self._period_s = period_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)
        self._is_failing = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._reconcile()
            self._stopping.wait(self._period_s)

    def _reconcile(self) -> None:
        try:
            self._queue.reconcile()
        except (SearchError, StoreError) as error:
            if not self._is_failing:
                logger.warning("search jobs may have to wait: %s", error)
            self._is_failing = True
            return
        if self._is_failing:
            logger.info("search jobs go on")
        self._is_failing = False
