"""What is promoted anywhere is served without a restart."""

import httpx
import pytest

from service.reload import StoreFollower
from solver_store.errors import StoreUnavailable
from solver_store.records import CHAMPION
from solver_store.store import SolverStore
from solver_store.table import Prediction, SolverTable
from tests.service.live import Live, wait_until


def test_a_promotion_by_another_process_is_followed(http: httpx.Client, server: Live) -> None:
    times = (0.0, 0.25, 0.5, 1.0)
    table = SolverTable(
        "rectified-flow",
        Prediction.VELOCITY,
        times[:3],
        times,
        (1.0,) * 3,
        ((0.25,), (0.25,), (0.5,)),
    )
    other = SolverStore.open(server.services.settings.database)
    body = {"class_id": 0, "steps": 3, "solver": "promoted-elsewhere"}
    assert http.post("/generate", json=body).status_code == 404
    other.publish("promoted-elsewhere", table, source={})
    other.promote("promoted-elsewhere", CHAMPION, 1, expected=None, by="test")
    other.close()
    wait_until(lambda: http.post("/generate", json=body).status_code == 200)


class Selector:
    """Refreshes as told."""

    def __init__(self, *outcomes: bool | Exception):
        self.outcomes = list(outcomes)

    def refresh(self) -> bool:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_a_store_that_goes_away_is_told_once_and_followed_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = StoreUnavailable("gone")
    selector = Selector(False, gone, gone, gone, False, True)
    follower = StoreFollower(selector)
    caplog.set_level("INFO")
    for _ in range(6):
        follower.poll()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "the store cannot be followed: gone",
        "the store is followed again",
        "the store has changed: new requests get its present solvers",
    ]
