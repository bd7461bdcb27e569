"""What Prometheus sees. Counters and histograms are written as things happen; gauges are read
from the engine when somebody looks, so they cannot drift.

Label values are bounded: models that are loaded, step counts up to 32, a handful of outcomes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .engine.stats import EngineStats
from .errors import Draining, ImageFailed, status_of
from .readiness import ReadyEngine, is_ready

MAX_STEPS_LABEL = 32
UNKNOWN = "unknown"

REQUEST_BUCKETS_S = (
    0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 20, 30, 60, 120, 180,
)  # fmt: skip
STEP_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Outcome(StrEnum):
    """How a request for images ended."""

    OK = "ok"
    CANCELLED = "cancelled"  # the client hung up
    INVALID = "invalid"  # the request breaks a rule
    REJECTED = "rejected"  # no room, or stopping: another time, or another replica, may do
    TIMEOUT = "timeout"  # its deadline passed
    ERROR = "error"  # the server's fault: memory, database, a bug

    @classmethod
    def of_status(cls, status: int) -> "Outcome":
        match status:
            case 499:
                return cls.CANCELLED
            case 429:
                return cls.REJECTED
            case 504:
                return cls.TIMEOUT
            case _ if status >= 500:
                return cls.ERROR
            case _ if status >= 400:
                return cls.INVALID
            case _:
                return cls.OK

    @classmethod
    def of_error(cls, error: Exception) -> "Outcome":
        """As its status has it, but for errors whose status says something else to clients."""
        match error:
            case Draining():
                return cls.REJECTED  # stopping is no fault, as an end of memory with this status is
            case ImageFailed():
                return cls.ERROR  # an image that diverges may be the model's fault, too
            case _:
                return cls.of_status(status_of(error))


@dataclass(frozen=True)
class ModelMetrics:
    """The children of one model, made once: looking them up costs more than counting."""

    queue_wait: Histogram
    step_duration: Histogram
    batch_rows: Histogram
    decode_seconds: Counter
    evaluations: Counter
    images: Counter


class Metrics:
    """Owns a registry; an EngineObserver."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.models: set[str] = set()  # that are or were resident: what labels may say
        registry = self.registry
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "fewstep_requests", "Requests for images, by how they ended.",
            ("model", "outcome"), registry=registry,
        )  # fmt: skip
        self._request_duration = Histogram(
            "fewstep_request_duration_seconds", "From request to answer, of requests that got one.",
            ("model", "steps"), registry=registry, buckets=REQUEST_BUCKETS_S,
        )  # fmt: skip
        self._queue_wait = Histogram(
            "fewstep_queue_wait_seconds", "From submission of an image to its first step.",
            ("model",), registry=registry, buckets=REQUEST_BUCKETS_S,
        )  # fmt: skip
        self._step_duration = Histogram(
            "fewstep_engine_step_duration_seconds", "One forward and its solver update.",
            ("model",), registry=registry, buckets=STEP_BUCKETS_S,
        )  # fmt: skip
        self._batch_rows = Histogram(
            "fewstep_engine_batch_rows", "Network rows per forward.",
            ("model",), registry=registry, buckets=ROW_BUCKETS,
        )  # fmt: skip
        self._decode_seconds = Counter(
            "fewstep_engine_decode_seconds", "Time of the engine that decoding took.",
            ("model",), registry=registry,
        )  # fmt: skip
        self._evaluations = Counter(
            "fewstep_network_evaluations", "Of finished images; a guided pair counts as one.",
            ("model",), registry=registry,
        )  # fmt: skip
        self._images = Counter(
            "fewstep_images", "Images made.", ("model",), registry=registry
        )  # fmt: skip
        self._of: dict[str, ModelMetrics] = {}
        self._count_outcomes(UNKNOWN)

    def add_model(self, name: str) -> None:
        """Count what this model does, too; what was counted before is kept."""
        self.models.add(name)
        self._count_outcomes(name)
        self._of[name] = ModelMetrics(
            queue_wait=self._queue_wait.labels(name),
            step_duration=self._step_duration.labels(name),
            batch_rows=self._batch_rows.labels(name),
            decode_seconds=self._decode_seconds.labels(name),
            evaluations=self._evaluations.labels(name),
            images=self._images.labels(name),
        )

    def _count_outcomes(self, model: str) -> None:
        """From zero on: a rate does not see the jump with which a series begins."""
        for outcome in Outcome:
            self._requests.labels(model, outcome.value)

    def watch(self, engine: "WatchedEngine") -> None:
        """Read the gauges from this engine at every scrape."""
        self.registry.register(EngineGauges(engine))

    def on_step(self, model: str, rows: int, duration_s: float) -> None:
        self._of[model].step_duration.observe(duration_s)
        self._of[model].batch_rows.observe(rows)

    def on_decode(self, model: str, duration_s: float) -> None:
        self._of[model].decode_seconds.inc(duration_s)

    def on_image(self, model: str, queue_s: float, sampling_s: float, evaluations: int) -> None:
        self._of[model].queue_wait.observe(queue_s)
        self._of[model].evaluations.inc(evaluations)
        self._of[model].images.inc()

    def on_request(
        self, model: str | None, steps: int | None, outcome: Outcome, duration_s: float
    ) -> None:
        label = model if model in self.models else UNKNOWN
        self._requests.labels(label, outcome.value).inc()
        if outcome is Outcome.OK and steps is not None:
            self._request_duration.labels(label, steps_label(steps)).observe(duration_s)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


class WatchedEngine(ReadyEngine, Protocol):
    def stats(self) -> EngineStats: ...

    def oldest_wait_s(self) -> float: ...


class EngineGauges(Collector):
    """The engine's state at the moment of the scrape."""

    def __init__(self, engine: WatchedEngine):
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        stats = self._engine.stats()
        for name, help_text, value in (
            (
                "queue_rows",
                "Network rows times remaining steps of all images; of those that wait for their "
                "decoding, one step.",
                stats.queued_rows,
            ),
            ("lanes", "Images between their first and last step.", stats.lanes),
            ("waiting_images", "Images before their first step.", stats.waiting),
            ("seconds_per_row", "Time that a network row takes lately.", stats.seconds_per_row),
            (
                "oldest_wait_seconds",
                "How long the image has waited that waits longest for its first step.",
                self._engine.oldest_wait_s(),
            ),
        ):
            yield GaugeMetricFamily(f"fewstep_engine_{name}", help_text, value=value)
        limits = GaugeMetricFamily(
            "fewstep_engine_row_limit", "Network rows that a forward may have.", labels=("model",)
        )
        for model, limit in stats.row_limits.items():
            limits.add_metric((model,), limit)
        yield limits
        yield GaugeMetricFamily(
            "fewstep_ready", "1 where /readyz would say so.", value=is_ready(self._engine)
        )

    def describe(self) -> Iterator[Metric]:
        """Nothing: asked at registration, before the engine runs."""
        return iter(())


def steps_label(steps: int) -> str:
    return str(steps) if steps <= MAX_STEPS_LABEL else f"{MAX_STEPS_LABEL + 1}+"
