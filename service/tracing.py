"""Traces, by OpenTelemetry, sent to a collector over OTLP/HTTP: an optional extra.

FastAPI makes the span of a request, in the client's trace where it sends a `traceparent`. We say
what was asked for, and add what the engine did for it: queue, sampling, decode. Spans are sent by
a thread of their own. OpenTelemetry's own variables hold, too: OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER and the others.
"""

import os
import time
from typing import TYPE_CHECKING

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.trace import Tracer, format_trace_id

from diffusion_core.settings import PREFIX

from .border.context import RequestContext
from .border.keys import OPEN_PATHS
from .errors import SettingInvalid
from .version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def open_tracing(url: str | None) -> "TracerProvider | None":
    """To be shut down at the end, which sends what is left. None where nobody asks for traces.

    Raises SettingInvalid where they are asked for and OpenTelemetry's SDK is not installed.
    """
    if url is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise SettingInvalid(
            f"{PREFIX}TRACES_URL: there is no {error.name}: pip install 'fewstep[tracing]'"
        ) from None
    name = os.environ.get("OTEL_SERVICE_NAME", "fewstep")
    resource = Resource.create({"service.name": name, "service.version": VERSION})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    return provider


def telemetry(provider: "TracerProvider | None") -> TelemetryConfig:
    """What FastAPI is to tell. Probes leave no trace, and figures are for Prometheus."""
    return {
        "tracer_provider": provider,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "exclude": lambda scope: scope.get("path") in OPEN_PATHS,
    }


def tell_span(context: RequestContext) -> None:
    """Add to the request's span what is known of it when its answer begins."""
    span = trace.get_current_span()
    if not span.is_recording():
        return
    told = {
        "fewstep.request_id": context.id,
        "fewstep.model": context.model,
        "fewstep.steps": context.steps,
        "fewstep.solver": context.solver,
    }
    span.set_attributes({name: value for name, value in told.items() if value is not None})


def current_trace_id() -> str | None:
    """32 hexadecimal digits, as collectors show it."""
    span = trace.get_current_span()
    return format_trace_id(span.get_span_context().trace_id) if span.is_recording() else None


def add_parts(tracer: Tracer, parts_ms: dict[str, float]) -> None:
    """A span for each part, one after another up to now."""
    end_ns = time.time_ns()
    for name, ms in reversed(parts_ms.items()):
        start_ns = end_ns - round(ms * 1e6)
        tracer.start_span(name, start_time=start_ns).end(end_ns)
        end_ns = start_ns
