"""What Prometheus sees of the FID proxy, read when somebody looks."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .proxy import FidProxy
from .register import Standing
from .samples import Reading, Series

LABELS = ("model", "solver", "steps", "source")

READINGS: Mapping[str, tuple[str, Callable[[Standing], Reading | None]]] = {
    "fewstep_fid_proxy": (
        "Fréchet distance of served pictures from real ones; absent below a minimum of pictures.",
        lambda standing: standing.reading,
    ),
    "fewstep_fid_proxy_previous": (
        "Its last value before another table or other weights came under these labels.",
        lambda standing: standing.previous,
    ),
}


class FidGauges(Collector):
    def __init__(self, proxy: FidProxy, note_reader: Callable[[], None]):
        """note_reader: called whenever somebody looks."""
        self._proxy = proxy
        self._note_reader = note_reader

    def collect(self) -> Iterator[Metric]:
        self._note_reader()
        standings = self._proxy.standings
        for name, (help_text, reading_of) in READINGS.items():
            yield from _distances(name, help_text, standings, reading_of)
        yield _samples(standings)
        yield _minimums(self._proxy.minimums)
        yield self._fates()
        yield self._failures()
        yield self._seconds()

    def describe(self) -> Iterator[Metric]:
        """Nothing: asked at registration."""
        return iter(())

    def _fates(self) -> Metric:
        family = CounterMetricFamily(
            "fewstep_fid_proxy_images",
            "Pictures that were judged, dropped so that none waits, or seen before.",
            labels=("model", "source", "fate"),
        )
        for (model, source, fate), count in self._proxy.fates.copy().items():
            family.add_metric((model, source.value, fate.value), count)
        return family

    def _failures(self) -> Metric:
        family = CounterMetricFamily(
            "fewstep_fid_proxy_failures",
            "Attempts to judge pictures that failed; after three in a row none is made any more.",
            labels=("model",),
        )
        for model, count in self._proxy.failures.total.copy().items():
            family.add_metric((model,), count)
        return family

    def _seconds(self) -> Metric:
        family = CounterMetricFamily(
            "fewstep_fid_proxy_seconds", "Time of the engine that went into it.", labels=("work",)
        )
        for work, seconds in self._proxy.seconds.copy().items():
            family.add_metric((work.value,), seconds)
        return family


def _distances(
    name: str,
    help_text: str,
    standings: Mapping[Series, Standing],
    reading_of: Callable[[Standing], Reading | None],
) -> Iterator[Metric]:
    distances = GaugeMetricFamily(name, help_text, labels=LABELS)
    margins = GaugeMetricFamily(
        f"{name}_margin", f"Half the width of the 95 % interval of {name}.", labels=LABELS
    )
    for series, standing in standings.items():
        reading = reading_of(standing)
        if reading is not None:
            distances.add_metric(_labels(series), reading.distance)
            margins.add_metric(_labels(series), reading.margin)
    yield from (distances, margins)


def _samples(standings: Mapping[Series, Standing]) -> Metric:
    family = GaugeMetricFamily(
        "fewstep_fid_proxy_samples", "Pictures that the proxy has of late.", labels=LABELS
    )
    for series, standing in standings.items():
        family.add_metric(_labels(series), standing.num_samples)
    return family


def _minimums(minimums: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(
        "fewstep_fid_proxy_minimum",
        "Pictures below which no series of a watched model has a distance.",
        labels=("model",),
    )
    for model, count in minimums.items():
        family.add_metric((model,), count)
    return family


def _labels(series: Series) -> tuple[str, str, str, str]:
    return series.model, series.solver, str(series.steps), series.source.value
