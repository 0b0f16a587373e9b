"""Replies that are wrong on purpose."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

from aiohttp import web

from brokers.simulator.faults import Fault

Fields = dict[str, Any]
DEFAULT_WAIT_SECONDS = 2
VITAL_FIELDS = frozenset({"id", "status", "filled_qty", "qty", "cash", "client_order_id", "c", "bp", "p"})


def error_reply(fault: Fault) -> web.Response:
    """Return the reply an ``error`` fault asks for: any status, body and headers, a 500 with a code by default."""
    parameters = fault.parameters
    body = parameters.get("body", {"code": 50010000, "message": "internal server error occurred"})
    text = body if isinstance(body, str) else json.dumps(body)
    looks_like_html = text.lstrip().startswith("<")
    content_type = parameters.get("content_type", "text/html" if looks_like_html else "application/json")
    headers = {"Content-Type": f"{content_type}; charset=utf-8", **parameters.get("headers", {})}
    return web.Response(status=parameters.get("status", 500), body=text.encode(), headers=headers)


def rate_limit_reply(fault: Fault) -> web.Response:
    parameters = fault.parameters
    wait = parameters.get("seconds_to_wait", DEFAULT_WAIT_SECONDS)
    headers = {**rate_limit_headers(parameters.get("per_minute", 200), 0, wait)}
    form = parameters.get("retry_after", "seconds")
    if form == "seconds":
        headers["Retry-After"] = str(wait)
    elif form == "date":
        headers["Retry-After"] = format_datetime(datetime.now(UTC) + timedelta(seconds=wait), usegmt=True)
    return web.json_response({"code": 42910000, "message": "rate limit exceeded"}, status=429, headers=headers)


def rate_limit_headers(limit: int, remaining: int, wait_seconds: float) -> dict[str, str]:
    return {
        "X-Ratelimit-Limit": str(limit),
        "X-Ratelimit-Remaining": str(remaining),
        "X-Ratelimit-Reset": str(int(time.time() + wait_seconds)),
    }


def auth_expired_reply(fault: Fault) -> web.Response:
    status = fault.parameters.get("status", 403)
    return web.json_response({"message": "forbidden." if status == 403 else "unauthorized."}, status=status)


def corrupt_payload(mode: str, payload: Any) -> bytes:
    """Return the body of a ``wrong_data`` fault for a payload that was right."""
    text = json.dumps(payload).encode()
    if mode == "malformed":
        return text[:-1] + b", ]["
    if mode == "other_order":
        return json.dumps(_for_each_object(payload, _with_other_id)).encode()
    if mode == "missing_fields":
        return json.dumps(_for_each_object(payload, _without_vital_fields)).encode()
    if mode == "gap":
        return json.dumps(_without_middle(payload)).encode()
    return text


def _for_each_object(payload: Any, change: Callable[[Fields], Fields]) -> Any:
    if isinstance(payload, list):
        return [_for_each_object(item, change) for item in payload]
    if isinstance(payload, dict):
        return change({key: _for_each_object(value, change) for key, value in payload.items()})
    return payload


def _without_middle(payload: Any) -> Any:
    """Leave out the middle third of every list, as a feed with a gap would."""
    if isinstance(payload, dict):
        return {key: _without_middle(value) for key, value in payload.items()}
    if isinstance(payload, list):
        third = (len(payload) + 2) // 3
        return payload[:third] + payload[2 * third :]
    return payload


def _with_other_id(fields: Fields) -> Fields:
    if "id" not in fields:
        return fields
    other = str(uuid4())
    return {**fields, "id": other, "client_order_id": f"other-{other[:8]}"}


def _without_vital_fields(fields: Fields) -> Fields:
    return {key: value for key, value in fields.items() if key not in VITAL_FIELDS}
