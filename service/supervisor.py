"""Starts, watches and restarts what searches need: Redis, and the workers, as child processes.

Broker       where Redis is: a given one, or one that is started here (search_jobs/broker.py)
workers      `python -m search_jobs worker`, told where it is
Reconciler   tells it of the jobs that wait, so that whoever takes a job in only writes it down

Serving needs none of it: where Redis cannot be started, searches are kept and wait.
"""

import logging
import os
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from diffusion_core.settings import variable
from search_jobs.broker import Broker
from search_jobs.errors import BrokerUnavailable
from search_jobs.queue import SearchQueue
from search_jobs.reconciler import Reconciler
from solver_store.database import Database

from .child import Child
from .settings import Settings

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]  # of the import paths
LOOK_S = 0.2  # between two looks at the children
END_S = 3.0  # for a worker to hand its job back and end
STOP_S = 8.0  # for all of it to end
BROKER_PAUSE_S = 10.0  # between two attempts to start Redis
WORKER = (sys.executable, "-m", "search_jobs", "worker")


class Supervisor:
    """One thread looks after all children: they end when it does, however it ends."""

    def __init__(self, settings: Settings, database: Database):
        self._settings = settings
        self._database = database
        self._broker: Broker | None = None
        self._look_at = 0.0  # not before: time.monotonic()
        self._trouble = ""  # what the log has said last
        self._workers: list[Child] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    @property
    def worker_pids(self) -> list[int]:
        """Those that have been started and have not been seen to end."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def start(self) -> None:
        """Returns at once. Does nothing where this server is to have no part in searches."""
        if self._settings.workers or self._settings.redis_url is not None:
            self._thread.start()

    def ask_to_stop(self) -> None:
        self._stopping.set()

    def stop(self) -> None:
        """End all children and wait for it, a few seconds at the most."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def _run(self) -> None:
        with ExitStack() as closing:
            while not self._stopping.is_set():
                self._look_after_broker(closing)
                for worker in self._workers:
                    worker.tend()
                self._stopping.wait(LOOK_S)

    def _look_after_broker(self, closing: ExitStack) -> None:
        if time.monotonic() < self._look_at:
            return
        try:
            if self._broker is None:
                self._broker = self._open(closing)
            self._broker.tend()
        except (BrokerUnavailable, OSError) as error:
            if str(error) != self._trouble:
                logger.warning("searches have to wait: %s", error)
            self._trouble = str(error)
            self._look_at = time.monotonic() + BROKER_PAUSE_S
        else:
            self._trouble = ""

    def _open(self, closing: ExitStack) -> Broker:
        """Start Redis and all that needs it; it is closed in the opposite order.

        Raises BrokerUnavailable, OSError.
        """
        broker = Broker.open(self._settings.redis_url, self._settings.home)
        closing.callback(broker.close)
        queue = SearchQueue.open(self._database, broker)
        closing.callback(queue.close)
        reconciler = Reconciler(queue)
        reconciler.start()
        closing.callback(reconciler.stop)
        variables = worker_variables(self._settings, broker.url)
        self._workers = [
            Child("search worker", WORKER, variables) for _ in range(self._settings.workers)
        ]
        closing.callback(self._end_workers)
        return broker

    def _end_workers(self) -> None:
        for worker in self._workers:
            worker.ask_to_end()
        by = time.monotonic() + END_S
        for worker in self._workers:
            worker.end(by)


def worker_variables(settings: Settings, redis_url: str) -> dict[str, str]:
    """The environment of a worker: ours, with the settings that both know.

    Not as flags: everybody on the machine can read those, and URLs may hold passwords.
    """
    told = {
        "home": str(settings.home.resolve()),
        "database_url": settings.database,
        "redis_url": redis_url,
        "models": ",".join(settings.models),
        "device": settings.device,
    }
    if settings.threads is not None:
        told["threads"] = str(settings.threads)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    settled = {variable(name): text for name, text in told.items()}
    return {**os.environ, **settled, "PYTHONPATH": os.pathsep.join(paths)}
