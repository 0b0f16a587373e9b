"""A real OTLP receiver in a thread: what processes send over HTTP as protobuf, decoded."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from reliability.conf import get_conf
from reliability.services.tracing.provider import start_tracing, stop_tracing


@dataclass(frozen=True)
class Span:
    """One span as it came over the wire; ids are hexadecimal, blank for a root's parent."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: bool


@dataclass
class Receiver:
    address: str
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def only(self, name: str) -> Span:
        (span,) = self.named(name)
        return span

    def below(self, parent: Span) -> list[str]:
        return [span.name for span in self.spans if span.parent == parent.id]


@contextmanager
def traced_to_receiver(settings: Any) -> Iterator[Receiver]:
    """Traces are on in this process, and go to the receiver with ``stop_tracing``; ``settings`` is the fixture."""
    with otlp_receiver() as receiver:
        settings.RELIABILITY = {**settings.RELIABILITY, "traces_url": receiver.address}
        get_conf.cache_clear()
        start_tracing("test")
        try:
            yield receiver
        finally:
            stop_tracing()
            get_conf.cache_clear()


@contextmanager
def otlp_receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            kept.bodies.append(body)
            kept.spans += _decode(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield kept
        server.shutdown()


def _decode(request: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            service=_plain(resource.resource.attributes)["service.name"],
            name=span.name,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            kind=span.kind,
            links=tuple(link.span_id.hex() for link in span.links),
            attributes=_plain(span.attributes),
            failed=span.status.code == 2,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
