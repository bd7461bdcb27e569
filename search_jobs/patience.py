"""A locked or absent database is waited for: it fails no job."""

import logging
from collections.abc import Callable
from time import sleep
from typing import TypeVar

from solver_store.database import Database
from solver_store.errors import StoreUnavailable
from solver_store.migrations import migrate
from solver_store.store import SolverStore

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

Answer = TypeVar("Answer")


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask the database until it answers, with growing pauses; asking twice must be safe."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return ask()
        except StoreUnavailable as error:
            logger.warning("waiting for the database: %s", error)
        sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def open_patiently(url: str) -> SolverStore:
    """The store, once its database answers. Raises StoreUnavailable for a URL that is none."""
    database = Database.open(url)
    patiently(lambda: migrate(database))
    return SolverStore(database)
