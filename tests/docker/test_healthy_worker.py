"""What Docker asks a worker's container, with a real Redis."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, Worker

from search_jobs.broker import Broker

PROGRAM = Path(__file__).parents[2] / "docker" / "healthy_worker.py"


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with Broker.open(None, tmp_path) as broker:
        yield broker.url


def is_healthy(redis_url: str) -> bool:
    variables = {**os.environ, "FEWSTEP_REDIS_URL": redis_url}
    told = subprocess.run([sys.executable, PROGRAM], env=variables, capture_output=True, text=True)
    assert told.returncode in (0, 1), told.stderr
    return told.returncode == 0


def worker_of(connection: Redis, host: str | None = None) -> Worker:
    worker = Worker([Queue("searches", connection=connection)], connection=connection)
    worker.hostname = host or worker.hostname
    worker.register_birth()
    return worker


def test_a_container_is_healthy_while_redis_knows_its_worker(redis_url: str) -> None:
    with Redis.from_url(redis_url) as connection:
        assert not is_healthy(redis_url)
        worker = worker_of(connection)
        assert is_healthy(redis_url)
        worker.register_death()
        assert not is_healthy(redis_url)


def test_a_worker_of_another_container_does_not_make_it_healthy(redis_url: str) -> None:
    with Redis.from_url(redis_url) as connection:
        worker_of(connection, "another")
        assert not is_healthy(redis_url)


def test_it_is_not_healthy_where_redis_is_away(tmp_path: Path) -> None:
    assert not is_healthy(f"unix://{tmp_path}/nobody.sock")
