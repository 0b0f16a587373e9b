"""What happens around every API call: the ledger, the key check, the faults, and the reply once all is on disk."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from brokers.simulator.broker import Broker
from brokers.simulator.fault_replies import error_reply, rate_limit_headers
from brokers.simulator.faults import REPLY_KINDS, Fault, FaultKind, Operation
from brokers.simulator.requests import RefusalError

LEDGERED = frozenset({Operation.SUBMIT, Operation.CANCEL, Operation.REPLACE})
LATENCY = frozenset({FaultKind.LATENCY})


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply before it is sent; ``payload`` None means an empty body."""

    payload: Any = None
    status: int = 200


class Dialect(Protocol):
    """What differs between the APIs that the one broker is spoken to in."""

    default_error: dict[str, Any]

    def check_login(self, call: "Call") -> None:
        """Raise ``RefusalError`` unless the caller proves to know the key."""

    def client_order_id(self, call: "Call") -> str | None:
        """Return the client order id of a request that may be anything."""

    def rate_limit_reply(self, fault: Fault) -> web.Response: ...

    def auth_expired_reply(self, fault: Fault) -> web.Response: ...

    def corrupt(self, mode: str, payload: Any) -> bytes:
        """Return the body of a ``wrong_data`` fault for a payload that was right."""


@dataclass(slots=True)
class Call:
    """One API call as the route functions see it."""

    broker: Broker
    dialect: Dialect
    request: web.Request
    body: bytes
    request_id: int = 0
    client_order_id: str | None = None

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query)

    def path_value(self, name: str) -> str:
        return self.request.match_info[name]


Route = Callable[[Call], Answer]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def gated(broker: Broker, dialect: Dialect, route: Route, operation: Operation) -> Handler:
    """Return the web handler of a route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        call = Call(broker, dialect, request, await request.read())
        if operation in LEDGERED:
            _record_request(call, operation)
        endpoint = broker.endpoint_of(request)
        latency = broker.faults.strike(LATENCY, operation, endpoint)
        if latency is not None and not latency.parameters.get("applied", False):
            await _delay(broker, latency)
        fault = broker.faults.strike(REPLY_KINDS, operation, endpoint)
        response = await _respond(call, route, operation, fault)
        if latency is not None and latency.parameters.get("applied", False):
            await _delay(broker, latency)
        return response

    return handle


async def _respond(call: Call, route: Route, operation: Operation, fault: Fault | None) -> web.StreamResponse:
    kind = fault.kind if fault else None
    applies = fault is None or kind in (FaultKind.DROP_REPLY, FaultKind.WRONG_DATA) or _is_applied(fault)
    headers: dict[str, str] = {}
    if fault is not None and kind is FaultKind.RATE_LIMIT and "per_minute" in fault.parameters:
        limit = fault.parameters["per_minute"]
        left = call.broker.rate_window.admit(asyncio.get_running_loop().time(), limit)
        headers = rate_limit_headers(limit, max(left, 0), 60)
        if left >= 0:
            kind, applies = None, True
    answer = _run(call, route, operation) if applies else Answer()
    if operation in LEDGERED:
        _record_reply(call, answer.status if applies else None, kind, fault)
    await call.broker.ledger.durable()
    if fault is None or kind is None:
        return _to_response(answer, headers)
    return await _faulty_response(call, answer, fault)


def _is_applied(fault: Fault) -> bool:
    """Tell whether the operation takes effect although its reply will be faulty. A hang does unless told not to."""
    default = fault.kind is FaultKind.HANG
    return bool(fault.parameters.get("applied", default))


async def _faulty_response(call: Call, answer: Answer, fault: Fault) -> web.StreamResponse:
    match fault.kind:
        case FaultKind.ERROR:
            return error_reply(fault, call.dialect.default_error)
        case FaultKind.RATE_LIMIT:
            return call.dialect.rate_limit_reply(fault)
        case FaultKind.AUTH_EXPIRED:
            return call.dialect.auth_expired_reply(fault)
        case FaultKind.WRONG_DATA:
            return await _corrupt_response(call, answer, fault.parameters.get("mode", "malformed"))
        case FaultKind.HANG:
            await _wait_for_client_to_leave(call)
    return _abort(call)


async def _corrupt_response(call: Call, answer: Answer, mode: str) -> web.StreamResponse:
    body = call.dialect.corrupt(mode, answer.payload)
    if mode != "truncated":
        return web.Response(status=answer.status, body=body, content_type="application/json")
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
    response.content_length = len(body) + 1
    await response.prepare(call.request)
    await response.write(body[: len(body) // 2])
    _abort(call)
    return response


def _abort(call: Call) -> web.Response:
    if call.request.transport is not None:
        call.request.transport.abort()
    return web.Response(status=500)


async def _wait_for_client_to_leave(call: Call) -> None:
    while call.request.transport is not None and not call.request.transport.is_closing():
        if call.broker.stopping.is_set():
            return
        await asyncio.sleep(0.05)


async def _delay(broker: Broker, fault: Fault) -> None:
    parameters = fault.parameters
    delay_ms = parameters.get("ms", 100) + parameters.get("jitter_ms", 0) * broker.faults.draw()
    await asyncio.sleep(delay_ms / 1000)


def _run(call: Call, route: Route, operation: Operation) -> Answer:
    """Let the route answer; a refusal is an answer too, and the ledger keeps those of orders."""
    try:
        call.dialect.check_login(call)
        return route(call)
    except RefusalError as refusal:
        if operation in LEDGERED:
            call.broker.ledger.append(
                {
                    "kind": "refused",
                    "request_id": call.request_id,
                    "operation": operation,
                    "client_order_id": call.client_order_id,
                    "status": refusal.status,
                    **refusal.body,
                    "message": refusal.message,
                }
            )
        return Answer(refusal.body, refusal.status)


def _record_request(call: Call, operation: Operation) -> None:
    call.request_id = call.broker.next_request_id()
    call.client_order_id = call.dialect.client_order_id(call)
    call.broker.ledger.append(
        {
            "kind": "request",
            "request_id": call.request_id,
            "operation": operation,
            "method": call.request.method,
            "path": call.request.path,
            "client_order_id": call.client_order_id,
            "body_sha256": hashlib.sha256(call.body).hexdigest(),
            "body": call.body.decode(errors="replace"),
        }
    )


def _record_reply(call: Call, status: int | None, kind: FaultKind | None, fault: Fault | None) -> None:
    record = {
        "kind": "reply",
        "request_id": call.request_id,
        "client_order_id": call.client_order_id,
        "outcome": kind or "sent",
        "status": status,
    }
    if kind is not None and fault is not None:
        record["fault_id"] = fault.id
    call.broker.ledger.append(record)


def _to_response(answer: Answer, headers: dict[str, str]) -> web.Response:
    if answer.payload is None:
        return web.Response(status=answer.status, headers=headers)
    body = json.dumps(answer.payload, separators=(",", ":")).encode()
    return web.Response(status=answer.status, body=body, content_type="application/json", headers=headers)
