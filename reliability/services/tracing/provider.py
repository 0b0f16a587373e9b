"""Beginning and ending traces in one process: after it was forked, and before it goes."""

import atexit
import os
from typing import TYPE_CHECKING

from reliability.conf import get_conf
from reliability.services import tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

FLUSH_SECONDS = 3.0
_PROVIDERS: list["TracerProvider"] = []  # of this process: one, or none


def start_tracing(process: str) -> None:
    """Begin tracing in this process if an address is set; call it after a fork, never before one.

    Args:
        process: What kind of process it is, as traces name the service: ``stanchion-web``.
    """
    conf = get_conf()
    if not conf.traces_url or tracing.is_on():
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    from reliability.services.tracing.clients import follow_clients
    from reliability.services.tracing.scrubbing import ScrubbingExporter

    exporter: SpanExporter
    if conf.traces_url == "console":
        exporter = ConsoleSpanExporter()
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=f"{conf.traces_url.rstrip('/')}/v1/traces", timeout=5)
    resource = Resource.create(
        {"service.name": f"stanchion-{process}", "service.namespace": "stanchion", "process.pid": os.getpid()}
    )
    sampler = ParentBased(TraceIdRatioBased(conf.traces_ratio))
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(ScrubbingExporter(exporter), schedule_delay_millis=1000))
    tracing.set_tracer(provider.get_tracer("stanchion"))
    _PROVIDERS.append(provider)
    follow_clients()
    atexit.register(stop_tracing)


def stop_tracing() -> None:
    """Send what was recorded, for at most a few seconds, and end: nothing is lost with a process that is recycled."""
    while _PROVIDERS:
        provider = _PROVIDERS.pop()
        tracing.set_tracer(None)
        provider.force_flush(round(FLUSH_SECONDS * 1000))
        provider.shutdown()
