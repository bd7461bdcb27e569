"""What Prometheus sees of the searches, read from the database when somebody looks."""

import logging
from collections.abc import Collection, Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from search_jobs.queue import SearchQueue
from search_jobs.spec import JobState
from solver_store.errors import StoreError

from ..metrics import UNKNOWN, steps_label

logger = logging.getLogger(__name__)


class SearchGauges(Collector):
    """How many searches there are, and how the running ones do.

    Absent while the database is away: the other figures are then needed most.
    """

    def __init__(self, queue: SearchQueue, models: Collection[str]):
        self._queue = queue
        self._models = models

    def collect(self) -> Iterator[Metric]:
        try:
            yield from (self._jobs(), self._losses())
        except StoreError as error:
            logger.warning("the searches cannot be counted: %s", error)

    def describe(self) -> Iterator[Metric]:
        """Nothing: asked at registration."""
        return iter(())

    def _jobs(self) -> Metric:
        jobs = GaugeMetricFamily("fewstep_search_jobs", "Searches by state.", labels=("state",))
        for state, count in self._queue.counts().items():
            jobs.add_metric((state.value,), count)
        return jobs

    def _losses(self) -> Metric:
        family = GaugeMetricFamily(
            "fewstep_search_loss", "The loss that a running search is at.",
            labels=("model", "steps"),
        )  # fmt: skip
        for (model, steps), loss in self._running().items():
            family.add_metric((model, steps), loss)
        return family

    def _running(self) -> dict[tuple[str, str], float]:
        """By model and step count; of several searches the newest."""
        found = {}
        for job in reversed(self._queue.jobs(JobState.RUNNING)):
            model = job.spec.model if job.spec.model in self._models else UNKNOWN
            progress = job.progress
            if progress.steps is not None and progress.loss is not None:
                found[model, steps_label(progress.steps)] = progress.loss
        return found
