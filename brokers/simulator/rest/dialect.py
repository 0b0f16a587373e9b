"""Alpaca's manner: its login, its errors, and its orders damaged on purpose."""

import json
from typing import Any
from uuid import uuid4

from aiohttp import web

from brokers.simulator.fault_replies import corrupt_payload, rate_limit_headers, retry_after_headers, seconds_to_wait
from brokers.simulator.faults import Fault
from brokers.simulator.gate import Call, Dialect
from brokers.simulator.requests import RefusalError
from brokers.simulator.wire import Json

VITAL_FIELDS = frozenset({"id", "status", "filled_qty", "qty", "cash", "client_order_id", "c", "bp", "p"})


class _Alpaca:
    default_error: Json = {"code": 50010000, "message": "internal server error occurred"}

    def check_login(self, call: Call) -> None:
        key = call.request.headers.get("APCA-API-KEY-ID", "")
        secret = call.request.headers.get("APCA-API-SECRET-KEY", "")
        if not key or not secret:
            raise RefusalError(401, 40110000, "request is not authorized")
        if not call.broker.is_known_key(key, secret):
            raise RefusalError(403, None, "forbidden.")

    def client_order_id(self, call: Call) -> str | None:
        try:
            fields = json.loads(call.body)
        except ValueError:
            return None
        value = fields.get("client_order_id") if isinstance(fields, dict) else None
        return value if isinstance(value, str) else None

    def rate_limit_reply(self, fault: Fault) -> web.Response:
        limits = rate_limit_headers(fault.parameters.get("per_minute", 200), 0, seconds_to_wait(fault))
        headers = limits | retry_after_headers(fault)
        return web.json_response({"code": 42910000, "message": "rate limit exceeded"}, status=429, headers=headers)

    def auth_expired_reply(self, fault: Fault) -> web.Response:
        status = fault.parameters.get("status", 403)
        return web.json_response({"message": "forbidden." if status == 403 else "unauthorized."}, status=status)

    def corrupt(self, mode: str, payload: Any) -> bytes:
        return corrupt_payload(mode, payload, VITAL_FIELDS, _with_other_id)


def _with_other_id(fields: Json) -> Json:
    if "id" not in fields:
        return fields
    other = str(uuid4())
    return {**fields, "id": other, "client_order_id": f"other-{other[:8]}"}


ALPACA: Dialect = _Alpaca()
