"""Traces, as a collector receives them over OTLP/HTTP."""

import gzip
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from service.errors import SettingInvalid
from service.log import FIELDS, REQUESTS
from service.tracing import open_tracing
from tests.service.conftest import StartServer

GENERATE = {"class_id": 1, "steps": 3, "solver": "ab2"}
CLIENTS_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENTS_SPAN = "00f067aa0ba902b7"


@dataclass
class Collector:
    """What came in, by the request that it tells of."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)

    def of_trace(self, trace_id: str) -> dict[str, Span]:
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace_id}

    def only(self) -> dict[str, Span]:
        """The one trace there is."""
        [trace_id] = {span.trace_id for span in self.spans}
        return self.of_trace(trace_id.hex())


@pytest.fixture
def collector() -> Iterator[Collector]:
    received = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            message = ExportTraceServiceRequest.FromString(body)
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    received.spans += scope.spans
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield received
        server.shutdown()
        thread.join()


def test_a_request_is_a_span_and_its_parts_follow_each_other_below(
    start_server: StartServer, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=REQUESTS)
    with start_server(traces_url=collector.url) as live:
        answer = httpx.post(f"{live.url}/generate", json=GENERATE, headers={"X-Request-ID": "r-1"})
        timing = answer.json()["timing_ms"]
    spans = collector.only()
    assert set(spans) == {"POST /generate", "queue", "sampling", "decode"}
    request, queue, sampling, decode = (
        spans[name] for name in ("POST /generate", "queue", "sampling", "decode")
    )
    assert {part.parent_span_id for part in (queue, sampling, decode)} == {request.span_id}
    assert request.start_time_unix_nano <= queue.start_time_unix_nano
    assert queue.end_time_unix_nano == sampling.start_time_unix_nano
    assert sampling.end_time_unix_nano == decode.start_time_unix_nano
    assert decode.end_time_unix_nano <= request.end_time_unix_nano
    took_ns = sampling.end_time_unix_nano - sampling.start_time_unix_nano
    assert took_ns / 1e6 == pytest.approx(timing["sampling"], abs=0.002)
    assert (
        attributes(request).items()
        >= {
            "http.request.method": "POST",
            "http.route": "/generate",
            "http.response.status_code": 200,
            "fewstep.request_id": "r-1",
            "fewstep.model": "tiny",
            "fewstep.steps": 3,
            "fewstep.solver": "ab2",
        }.items()
    )
    [line] = [r for r in caplog.records if getattr(r, FIELDS, {}).get("id") == "r-1"]
    assert getattr(line, FIELDS)["trace"] == request.trace_id.hex()


def test_the_clients_trace_goes_on(start_server: StartServer, collector: Collector) -> None:
    header = {"traceparent": f"00-{CLIENTS_TRACE}-{CLIENTS_SPAN}-01"}
    with start_server(traces_url=collector.url) as live:
        httpx.get(f"{live.url}/models/tiny", headers=header)
    [span] = collector.of_trace(CLIENTS_TRACE).values()
    assert span.name == "GET /models/{name}"
    assert span.parent_span_id.hex() == CLIENTS_SPAN


def test_a_server_error_is_marked_and_a_refusal_is_not(
    start_server: StartServer, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_server(traces_url=collector.url) as live:
        httpx.get(f"{live.url}/models/nobody")
        monkeypatch.setattr("service.routes.models._of_resident", broken)
        httpx.get(f"{live.url}/models/tiny")
    refused, failed = sorted(collector.spans, key=lambda span: span.start_time_unix_nano)
    assert attributes(refused)["http.response.status_code"] == 404
    assert refused.status.code == Status.STATUS_CODE_UNSET
    assert attributes(failed)["http.response.status_code"] == 500
    assert failed.status.code == Status.STATUS_CODE_ERROR


def test_probes_and_scrapes_leave_no_trace(start_server: StartServer, collector: Collector) -> None:
    with start_server(traces_url=collector.url) as live:
        for path in ("/livez", "/readyz", "/metrics"):
            httpx.get(live.url + path)
    assert collector.spans == []


def test_a_collector_that_is_away_disturbs_nobody(start_server: StartServer) -> None:
    with start_server(traces_url="http://127.0.0.1:1/v1/traces") as live:
        assert httpx.post(f"{live.url}/generate", json=GENERATE).status_code == 200


def test_without_the_extra_the_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(SettingInvalid, match=r"FEWSTEP_TRACES_URL: .*fewstep\[tracing\]"):
        open_tracing("http://127.0.0.1:4318/v1/traces")


def attributes(span: Span) -> dict[str, object]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


def broken(*_: object) -> None:
    raise RuntimeError("broken")
