"""Spans of what a process asks of others: statements, commands, HTTP calls and websockets.

Only below a span under way: four looks a second for due work would otherwise be four traces a second. No value of a
statement, command or address is recorded, and no header is added to what goes to a broker.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import aiohttp
import psycopg
import redis
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, get_current_span

from reliability.services import tracing

_LONGEST_STATEMENT = 500
_followed = False


def follow_clients() -> None:
    """Have the clients of this process record spans; once is enough."""
    global _followed
    if _followed:
        return
    _followed = True
    psycopg.Cursor.execute = _traced(psycopg.Cursor.execute, _statement)  # type: ignore[method-assign]
    psycopg.Cursor.executemany = _traced(psycopg.Cursor.executemany, _statement)  # type: ignore[method-assign]
    redis.Redis.execute_command = _traced(redis.Redis.execute_command, _command)  # type: ignore[method-assign]
    redis.client.Pipeline.execute = _traced(redis.client.Pipeline.execute, _pipeline)  # type: ignore[method-assign]
    _follow_http()


def _traced(call: Callable[..., Any], describe: Callable[..., tuple[str, dict[str, Any]]]) -> Callable[..., Any]:
    @wraps(call)
    def traced(self: Any, *arguments: Any, **options: Any) -> Any:
        if not tracing.is_on() or not get_current_span().is_recording():
            return call(self, *arguments, **options)
        name, attributes = describe(self, *arguments)
        with tracing.get_tracer().start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes):
            return call(self, *arguments, **options)

    return traced


def _statement(cursor: Any, query: Any = "", *_: Any) -> tuple[str, dict[str, Any]]:
    """Name a statement by its first word; its text has placeholders where values are."""
    text = query if isinstance(query, str) else query.decode() if isinstance(query, bytes) else "composed"
    text = " ".join(text.split())
    word = text.partition(" ")[0].upper() or "statement"
    return f"{word} postgresql", {"db.system.name": "postgresql", "db.query.text": text[:_LONGEST_STATEMENT]}


def _command(client: Any, name: Any = "", *_: Any) -> tuple[str, dict[str, Any]]:
    return f"{name} redis", {"db.system.name": "redis", "db.operation.name": str(name)}


def _pipeline(pipeline: Any, *_: Any) -> tuple[str, dict[str, Any]]:
    size = len(pipeline.command_stack)
    return "PIPELINE redis", {"db.system.name": "redis", "db.operation.batch.size": size}


def _follow_http() -> None:
    """Give every session made from now on the hooks that aiohttp has for this."""
    hooks = aiohttp.TraceConfig()
    hooks.on_request_start.append(_request_began)
    hooks.on_request_end.append(_request_answered)
    hooks.on_request_exception.append(_request_failed)
    begin = aiohttp.ClientSession.__init__

    @wraps(begin)
    def begin_traced(self: aiohttp.ClientSession, *arguments: Any, **options: Any) -> None:
        options["trace_configs"] = [*(options.get("trace_configs") or ()), hooks]
        begin(self, *arguments, **options)

    aiohttp.ClientSession.__init__ = begin_traced  # type: ignore[method-assign]


async def _request_began(session: Any, context: Any, parameters: aiohttp.TraceRequestStartParams) -> None:
    if not tracing.is_on() or not get_current_span().is_recording():
        return
    url, method = parameters.url, parameters.method
    is_socket = parameters.headers.get("Upgrade", "").lower() == "websocket"
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "server.address": url.host or "",
        "server.port": url.port or 0,
        "url.path": url.path,
    }
    name = f"websocket {url.host}" if is_socket else f"{method} {url.host}"
    context.span = tracing.get_tracer().start_span(name, kind=SpanKind.CLIENT, attributes=attributes)


async def _request_answered(session: Any, context: Any, parameters: aiohttp.TraceRequestEndParams) -> None:
    span: Span | None = getattr(context, "span", None)
    if span is None:
        return
    span.set_attribute("http.response.status_code", parameters.response.status)
    if parameters.response.status >= 400:
        span.set_status(Status(StatusCode.ERROR))
    span.end()


async def _request_failed(session: Any, context: Any, parameters: aiohttp.TraceRequestExceptionParams) -> None:
    span: Span | None = getattr(context, "span", None)
    if span is not None:
        span.record_exception(parameters.exception)
        span.set_status(Status(StatusCode.ERROR, type(parameters.exception).__name__))
        span.end()
