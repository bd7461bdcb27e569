"""A worker is put together from its settings, runs, and is taken apart."""

import logging
from contextlib import ExitStack
from time import sleep

from redis import Redis, RedisError
from rq.serializers import JSONSerializer

from solver_store.importing import import_published

from .broker import Broker, connect
from .job_store import JobStore
from .messages import Message, open_queue
from .patience import open_patiently, patiently
from .queue import SearchQueue
from .reconciler import Reconciler
from .settings import WorkerSettings
from .worker import SearchWorker

logger = logging.getLogger(__name__)

BEAT_S = 2  # between two heartbeats of a running job
WORKER_TTL_S = 20  # RQ blocks for this less 15 seconds, and looks after itself in between
TIDY_S = 30


def run_worker(settings: WorkerSettings, worker_class: type[SearchWorker] = SearchWorker) -> bool:
    """Work until a signal comes; whether one came. Its ends otherwise are for a restart to mend.

    Raises BrokerUnavailable, StoreError.
    """
    with ExitStack() as closing:
        broker = closing.enter_context(Broker.open(settings.redis_url, settings.home))
        store = open_patiently(settings.database)
        closing.callback(store.close)
        patiently(lambda: import_published(store))
        jobs = JobStore(store.database)
        queue = SearchQueue(jobs, broker)
        closing.callback(queue.close)
        reconciler = Reconciler(queue)
        reconciler.start()
        closing.callback(reconciler.stop)
        redis = connect(broker.url, answer_s=WORKER_TTL_S)  # it waits for messages
        closing.callback(redis.close)
        wait_for(redis)
        worker = worker_class(
            [open_queue(redis)],
            connection=redis,
            job_class=Message,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            maintenance_interval=TIDY_S,
            job_monitoring_interval=BEAT_S,
        )
        worker.jobs, worker.settings, worker.broker = jobs, settings, broker
        logger.info("worker %s is ready for search jobs", worker.name)
        worker.work(logging_level="WARNING")
        return worker.was_told_to_stop


def wait_for(redis: Redis) -> None:
    said = False
    while True:
        try:
            redis.ping()
            return
        except RedisError as error:
            if not said:
                logger.warning("waiting for Redis: %s", error)
            said = True
        sleep(0.5)
