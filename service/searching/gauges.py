"""What Prometheus sees of the searches, read from the database when somebody looks."""

import logging
from collections.abc import Collection, Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from search_jobs.queue import SearchQueue
from search_jobs.spec import TERMINAL, JobState, Progress, SearchJob
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
            yield self._jobs()
            yield from self._progress()
            yield self._durations()
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

    def _progress(self) -> Iterator[Metric]:
        labels = ("model", "steps")
        loss = GaugeMetricFamily(
            "fewstep_search_loss", "The loss that a running search is at.", labels=labels
        )
        done = GaugeMetricFamily(
            "fewstep_search_progress_ratio", "How much of a running search is done.", labels=labels
        )
        for values, progress in self._running().items():
            done.add_metric(values, progress.fraction)
            if progress.loss is not None:
                loss.add_metric(values, progress.loss)
        yield from (loss, done)

    def _running(self) -> dict[tuple[str, str], Progress]:
        """By model and step count; of several searches the newest."""
        return {
            (self._model(job), steps_label(job.progress.steps)): job.progress
            for job in reversed(self._queue.jobs(JobState.RUNNING))
            if job.progress.steps is not None
        }

    def _durations(self) -> Metric:
        family = GaugeMetricFamily(
            "fewstep_search_duration_seconds",
            "From the start to the end of the search that ended last.",
            labels=("model", "state"),
        )
        for values, duration_s in self._ended().items():
            family.add_metric(values, duration_s)
        return family

    def _ended(self) -> dict[tuple[str, str], float]:
        """By model and how it ended; of several searches the one that ended last."""
        return {
            (self._model(job), job.state.value): (job.finished_at - job.started_at).total_seconds()
            for state in sorted(TERMINAL)
            for job in reversed(self._queue.ended(state))
            if job.started_at is not None and job.finished_at is not None
        }

    def _model(self, job: SearchJob) -> str:
        return job.spec.model if job.spec.model in self._models else UNKNOWN
