"""The queue on a real Redis: jobs get to a worker, and none is lost with Redis."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from search_jobs.broker import Broker
from search_jobs.errors import BrokerUnavailable, SearchError
from search_jobs.job_store import JobStore
from search_jobs.messages import PERFORM, QUEUE_NAME, Message, open_queue, tidy
from search_jobs.queue import SearchQueue
from search_jobs.reconciler import Reconciler
from search_jobs.spec import JobState
from solver_store.store import SolverStore
from tests.search_jobs.builders import spec
from tests.search_jobs.conftest import OpenQueue
from tests.search_jobs.processes import ROOT
from tests.service.live import wait_until


@pytest.fixture
def redis(broker: Broker) -> Any:
    with Redis.from_url(broker.url) as client:
        yield client


@pytest.fixture
def records(sqlite_store: SolverStore) -> JobStore:
    return JobStore(sqlite_store.database)


def waiting(redis: Redis) -> list[str]:
    """The search jobs that workers will be handed, in order."""
    messages = open_queue(redis).get_jobs()
    return [message.search_job_id for message in messages if isinstance(message, Message)]


def take(redis: Redis) -> Message:
    """What a worker does first; from then on it would keep the message alive."""
    taken = Queue.dequeue_any(
        [open_queue(redis)], None, redis, job_class=Message, serializer=JSONSerializer
    )
    assert taken is not None
    assert isinstance(taken[0], Message)
    return taken[0]


def forget_telling(redis: Redis) -> None:
    """As if a second had passed since a job was told of."""
    for key in redis.scan_iter("fewstep:told:*"):
        redis.delete(key)


def test_redis_hears_the_id_and_nothing_else(queue: SearchQueue, redis: Redis) -> None:
    job, is_new = queue.submit(spec(), "key")
    assert is_new
    assert waiting(redis) == [job.id]
    message = take(redis)
    assert (message.func_name, message.args, message.kwargs) == (PERFORM, [job.id], {})
    for key in redis.scan_iter():
        if redis.type(key) == b"hash":
            assert b"glyphs" not in b"".join(redis.hgetall(key).values())


def test_a_repeated_request_is_told_once(queue: SearchQueue, redis: Redis) -> None:
    job, _ = queue.submit(spec(), "key")
    assert queue.submit(spec(), "key") == (job, False)
    assert waiting(redis) == [job.id]


def test_the_queue_tells_what_the_records_say(queue: SearchQueue, records: JobStore) -> None:
    job, _ = queue.submit(spec())
    other, _ = queue.submit(spec())
    assert queue.get(job.id) == records.get(job.id)
    assert queue.jobs() == [other, job]
    assert queue.events(job.id) == records.events(job.id)
    records.claim(job.id, "worker")
    assert queue.stop(job.id).state == JobState.RUNNING
    assert queue.cancel(job.id).state == JobState.CANCELLED
    assert queue.stop(other.id).state == JobState.CANCELLED
    assert queue.counts()[JobState.CANCELLED] == 2


def test_without_a_broker_jobs_are_kept(
    open_search_queue: OpenQueue, queue: SearchQueue, redis: Redis
) -> None:
    job, _ = open_search_queue(None).submit(spec())
    open_search_queue(None).reconcile()
    assert waiting(redis) == []
    queue.reconcile()
    assert waiting(redis) == [job.id]


def test_jobs_taken_in_while_redis_is_away_are_told_later(
    open_search_queue: OpenQueue, tmp_path: Path
) -> None:
    with Broker.open(None, tmp_path) as broker:
        queue = open_search_queue(broker)
    accepted = [queue.submit(spec())[0].id for _ in range(3)]
    with pytest.raises(BrokerUnavailable, match="Redis is away"):
        queue.reconcile()
    with Broker.open(None, tmp_path) as broker, Redis.from_url(broker.url) as redis:
        queue.reconcile()
        assert waiting(redis) == accepted


def test_what_redis_knows_is_not_told_twice(queue: SearchQueue, redis: Redis) -> None:
    job, _ = queue.submit(spec())
    forget_telling(redis)
    queue.reconcile()
    assert waiting(redis) == [job.id]


def test_a_wiped_redis_is_told_again(queue: SearchQueue, redis: Redis, records: JobStore) -> None:
    running, _ = queue.submit(spec())
    records.claim(running.id, "worker")
    cancelled, _ = queue.submit(spec())
    queue.cancel(cancelled.id)
    kept = [queue.submit(spec())[0].id for _ in range(2)]
    redis.flushall()
    queue.reconcile()
    assert waiting(redis) == kept


def test_a_restarted_redis_remembers(queue: SearchQueue, broker: Broker, tmp_path: Path) -> None:
    job, _ = queue.submit(spec())
    broker.close()
    with Broker.open(None, tmp_path) as again, Redis.from_url(again.url) as redis:
        assert waiting(redis) == [job.id]
    shutil.rmtree(tmp_path / "redis" / "appendonlydir")
    with Broker.open(None, tmp_path) as again, Redis.from_url(again.url) as redis:
        assert waiting(redis) == []
        queue.reconcile()
        assert waiting(redis) == [job.id]


def test_what_a_lost_worker_held_is_told_again(
    queue: SearchQueue, redis: Redis, sqlite_store: SolverStore
) -> None:
    job, _ = queue.submit(spec())
    take(redis)
    JobStore(sqlite_store.database, lease_s=0.0).claim(job.id, "worker")
    forget_telling(redis)
    queue.reconcile()
    assert queue.get(job.id).state == JobState.QUEUED
    assert waiting(redis) == [job.id]


def test_what_a_worker_is_starting_is_left_to_it(queue: SearchQueue, redis: Redis) -> None:
    job, _ = queue.submit(spec())
    message = take(redis)
    started = open_queue(redis).started_job_registry.key
    redis.zadd(started, {f"{message.id}:execution": 2e9})
    forget_telling(redis)
    queue.reconcile()
    assert waiting(redis) == []
    redis.zadd(started, {f"{message.id}:execution": 1e9})  # it has not been heard of since then
    queue.reconcile()
    assert waiting(redis) == [job.id]


def test_what_a_worker_holds_on_to_though_it_was_lost_is_told_again(
    queue: SearchQueue, redis: Redis, sqlite_store: SolverStore
) -> None:
    """The worker is alive; the process of its job stands still, and its lease has run out."""
    job, _ = queue.submit(spec())
    redis.zadd(open_queue(redis).started_job_registry.key, {f"{take(redis).id}:execution": 2e9})
    JobStore(sqlite_store.database, lease_s=0.0).claim(job.id, "worker")
    queue.reconcile()
    assert waiting(redis) == [job.id]


def test_what_dead_workers_left_is_forgotten(queue: SearchQueue, redis: Redis) -> None:
    for _ in range(2):
        queue.submit(spec())
    started = open_queue(redis).started_job_registry.key
    redis.zadd(started, {f"{take(redis).id}:execution": 1e9})
    take(redis)
    tidy(open_queue(redis))
    assert redis.exists(started, open_queue(redis).intermediate_queue_key) == 0
    messages = list(redis.scan_iter("rq:job:*"))
    assert len(messages) == 2
    assert all(0 < redis.ttl(message) <= 60 for message in messages)


def test_the_reconciler_goes_on_until_it_is_stopped(
    open_search_queue: OpenQueue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Broker.open(None, tmp_path) as broker:
        queue = open_search_queue(broker)
    reconciler = Reconciler(queue, period_s=0.01)
    reconciler.start()
    job, _ = queue.submit(spec())
    wait_until(lambda: "may have to wait" in caplog.text)
    with Broker.open(None, tmp_path) as broker, Redis.from_url(broker.url) as redis:
        wait_until(lambda: waiting(redis) == [job.id])
        reconciler.stop()
    assert caplog.text.count("may have to wait") == 1


# Whoever can write into Redis

HARMFUL: dict[str, dict[str, Any]] = {
    "a function": {"func": "os.system", "args": ("true",)},
    "a method": {"func": "search_jobs.job.reason_of", "args": ("20261123-0123456789",)},
    "no arguments": {"func": PERFORM},
    "more arguments": {"func": PERFORM, "args": ("20261123-0123456789", "worker")},
    "keywords": {"func": PERFORM, "args": ("a",), "kwargs": {"holder": "x"}},
    "a number": {"func": PERFORM, "args": (5,)},
    "a path": {"func": PERFORM, "args": ("../../etc",)},
    "a list": {"func": PERFORM, "args": (["a"],)},
}


@pytest.mark.parametrize("call", HARMFUL.values(), ids=HARMFUL.keys())
def test_a_message_that_is_not_ours_is_no_message(redis: Redis, call: dict[str, Any]) -> None:
    strangers = Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer)
    stranger = strangers.enqueue_call(**call)
    with pytest.raises(NoSuchJobError):
        Message.fetch(stranger.id, redis)
    assert open_queue(redis).get_jobs() == []


def test_a_message_names_nobody_to_call(redis: Redis) -> None:
    strangers = Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer)
    stranger = strangers.enqueue_call(PERFORM, args=("20261123-0123456789",), timeout=1)
    harm = {
        "success_callback_name": "os.system",
        "failure_callback_name": "os.system",
        "stopped_callback_name": "os.system",
        "webhooks": '[{"url": "http://127.0.0.1/", "job_status": "failed"}]',
        "meta": b"cos\nsystem\n(S'true'\ntR.",
        "result": b"cos\nsystem\n(S'true'\ntR.",
        "retries_left": 1000,
        "dependency_ids": '["other"]',
    }
    redis.hset(stranger.key, mapping=harm)
    message = Message.fetch(stranger.id, redis)
    assert message.success_callback is None
    assert message.failure_callback is None
    assert message.stopped_callback is None
    assert message.webhooks == []
    assert message.meta == {}
    assert message.retries_left is None
    assert message.dependency_ids == []
    assert message.timeout == -1


@pytest.mark.parametrize(
    "fields",
    [
        {"data": b"\x80\x04K\x01."},  # a pickle
        {"data": b"[1, 2"},
        {"data": b"{}"},
        {"data": b"null"},
        {"status": "lost"},
        {"created_at": "never"},
        {"origin": b"\xff"},
        {b"\xff": b"\xff"},
    ],
)
def test_a_message_that_cannot_be_read_is_no_message(
    queue: SearchQueue, redis: Redis, fields: dict[Any, Any]
) -> None:
    queue.submit(spec())
    (message_id,) = open_queue(redis).get_job_ids()
    redis.hset(Job.key_for(message_id), mapping=fields)
    with pytest.raises(NoSuchJobError):
        Message.fetch(message_id, redis)


def test_errors_of_redis_never_reach_whoever_asks(open_search_queue: OpenQueue) -> None:
    away = open_search_queue(Broker("redis://127.0.0.1:1"))
    job, _ = away.submit(spec())
    assert away.get(job.id).state == JobState.QUEUED
    with pytest.raises(SearchError):
        away.reconcile()


def test_asking_for_a_search_does_not_need_torch() -> None:
    program = (
        "import sys, search_jobs.queue, search_jobs.reconciler; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
