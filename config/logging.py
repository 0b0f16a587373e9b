"""How log lines look: JSON for machines, or readable; what each is about, and no secrets in either."""

from typing import Any

import structlog

from reliability.core.correlation import current_correlation_id
from reliability.core.scrubbing import scrubbed
from reliability.core.work_context import current_work
from reliability.services.tracing import current_trace_id


def add_context(logger: Any, name: str, line: dict[str, Any]) -> dict[str, Any]:
    """Say what a line is about: the correlation id and the job or task under way, unless the line says it itself."""
    correlation_id = current_correlation_id()
    if correlation_id:
        line.setdefault("correlation_id", correlation_id)
    trace_id = current_trace_id()
    if trace_id:
        line.setdefault("trace_id", trace_id)
    for key, value in current_work().items():
        if value is not None:
            line.setdefault(key, value)
    return line


def scrub(logger: Any, name: str, line: dict[str, Any]) -> dict[str, Any]:
    """Keep secrets out of the line, whatever wrote them and wherever in it they are."""
    return {key: value if key in _OURS else scrubbed({key: value})[key] for key, value in line.items()}


_OURS = frozenset({"timestamp", "level", "logger", "_record", "_from_structlog", "exc_info"})


def logging_settings(level: str, *, as_json: bool) -> dict[str, Any]:
    """Return the dictConfig of the standard library's logging, rendered by structlog."""
    shared = [
        structlog.contextvars.merge_contextvars,
        add_context,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if as_json:
        last: list[Any] = [
            structlog.processors.format_exc_info,
            scrub,
            structlog.processors.JSONRenderer(sort_keys=True, default=str),
        ]
    else:
        last = [structlog.processors.format_exc_info, scrub, structlog.dev.ConsoleRenderer(colors=False)]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.server": {"handlers": [], "propagate": True},
            "django.request": {"level": "ERROR"},
            "kombu": {"level": "WARNING"},
            "amqp": {"level": "WARNING"},
        },
    }
