"""What travels through Redis: the ids of search jobs, and nothing else.

RQ's jobs can name any function that Python can import, in several fields. Ours cannot: whoever
writes into Redis can at most have a job looked at that the database knows, and waits anyway. And
workers call no function that a message names (worker.py).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from redis import Redis, ResponseError
from rq import Queue
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import as_text, current_timestamp

from .job_writes import Waiting

QUEUE_NAME = "fewstep-searches"
PERFORM = "search_jobs.job.perform"
FAILURE_TTL_S = 60  # for a person to look at; the database keeps the reasons

# Of RQ's fields, those that name nothing to run and nobody to call.
_KEPT_FIELDS = frozenset(
    {
        "data", "status", "origin", "description", "worker_name",
        "created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat",
    }
)  # fmt: skip
_JOB_ID = re.compile(r"[0-9a-z-]{1,32}")
_MESSAGE_ID = re.compile(rb"([0-9a-z-]{1,32})_([0-9]{1,9})_")


class Message(Job):
    """An RQ job that can only mean: perform this search job."""

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 (RQ passes it by this name)
        connection: Redis | None = None,
        serializer: object = None,
    ) -> None:
        super().__init__(id, connection, JSONSerializer)  # whatever RQ asks for: never pickle

    @classmethod
    def fetch(
        cls,
        id: str,  # noqa: A002
        connection: Redis | None = None,
        serializer: object = None,
    ) -> "Message":
        """Raises NoSuchJobError for an id that is none, or that stands for no message."""
        try:
            message = super().fetch(id, connection)
        except (ValueError, ResponseError) as error:
            raise NoSuchJobError(f"no message of ours: {error!r:.200}") from None
        assert isinstance(message, cls)
        return message

    def restore(self, raw_data: Mapping[Any, Any]) -> None:
        """Raises NoSuchJobError for anything that we did not write: RQ then drops it."""
        try:
            super().restore({k: v for k, v in raw_data.items() if as_text(k) in _KEPT_FIELDS})
            self._check()
        except (ValueError, TypeError, AttributeError, DeserializationError) as error:
            raise NoSuchJobError(f"no message of ours: {error!r:.200}") from None
        self.timeout, self.result_ttl, self.failure_ttl = -1, 0, FAILURE_TTL_S

    @property
    def search_job_id(self) -> str:
        (job_id,) = self.args
        return str(job_id)

    def _check(self) -> None:
        called = (self.func_name, self.instance, dict(self.kwargs))
        if called != (PERFORM, None, {}):
            raise ValueError(f"only {PERFORM} may be called")
        (job_id,) = self.args
        if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
            raise ValueError("its argument must be the id of a search job")


def open_queue(redis: Redis) -> Queue:
    return Queue(QUEUE_NAME, connection=redis, job_class=Message, serializer=JSONSerializer)


def send(queue: Queue, waiting: Waiting) -> None:
    """Raises redis.RedisError."""
    queue.enqueue_call(
        PERFORM,
        args=(waiting.job_id,),
        # New each time, so that what is left of an earlier message cannot meet this one.
        job_id=f"{waiting.job_id}_{waiting.token}_{uuid4().hex}",
        timeout=-1,
        result_ttl=0,
        failure_ttl=FAILURE_TTL_S,
        description=waiting.job_id,
    )


def known_to(redis: Redis) -> set[Waiting]:
    """What Redis will hand to a worker, or has handed to one that is still alive.

    A job that was claimed since is not meant: its token is another one.
    Raises redis.RedisError.
    """
    queue = open_queue(redis)
    alive = redis.zrangebyscore(queue.started_job_registry.key, current_timestamp(), "+inf")
    messages = [*redis.lrange(queue.key, 0, -1), *alive]
    matches = [_MESSAGE_ID.match(message) for message in messages]
    return {Waiting(match[1].decode(), int(match[2])) for match in matches if match}


def tidy(queue: Queue) -> None:
    """Forget what dead workers have left. RQ's own way looks at jobs of any kind, also at such as
    name functions. Raises redis.RedisError.
    """
    redis: Any = queue.connection  # its answers are bytes, which its types do not say
    moment = current_timestamp()
    started, failed = queue.started_job_registry.key, queue.failed_job_registry.key
    on_the_way = queue.intermediate_queue_key
    expired = _messages(redis.zrangebyscore(started, 0, moment))
    alive = _messages(redis.zrangebyscore(started, moment, "+inf"))
    stuck = set(redis.lrange(on_the_way, 0, -1)) - alive
    with redis.pipeline() as pipeline:
        for message in expired | stuck:
            # Not deleted: one that left the queue this instant is about to be read.
            pipeline.expire(Message.redis_job_namespace_prefix.encode() + message, FAILURE_TTL_S)
        for message in stuck:
            pipeline.lrem(on_the_way, 0, message)
        pipeline.zremrangebyscore(started, 0, moment)
        pipeline.zremrangebyscore(failed, 0, moment)
        pipeline.execute()


def _messages(executions: Iterable[bytes]) -> set[bytes]:
    """The ids of messages, without those of their executions."""
    return {entry.partition(b":")[0] for entry in executions}
