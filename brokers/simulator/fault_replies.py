"""Replies that are wrong on purpose."""

import json
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from brokers.simulator.faults import Fault

Fields = dict[str, Any]
DEFAULT_WAIT_SECONDS = 2


def error_reply(fault: Fault, default_body: Fields) -> web.Response:
    """Return the reply an ``error`` fault asks for: any status, body and headers, a 500 by default."""
    parameters = fault.parameters
    body = parameters.get("body", default_body)
    text = body if isinstance(body, str) else json.dumps(body)
    looks_like_html = text.lstrip().startswith("<")
    content_type = parameters.get("content_type", "text/html" if looks_like_html else "application/json")
    headers = {"Content-Type": f"{content_type}; charset=utf-8", **parameters.get("headers", {})}
    return web.Response(status=parameters.get("status", 500), body=text.encode(), headers=headers)


def retry_after_headers(fault: Fault) -> dict[str, str]:
    """Return the header that names the wait of a ``rate_limit`` fault, in the form it asks for."""
    wait = seconds_to_wait(fault)
    form = fault.parameters.get("retry_after", "seconds")
    if form == "seconds":
        return {"Retry-After": str(wait)}
    if form == "date":
        return {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=wait), usegmt=True)}
    return {}


def seconds_to_wait(fault: Fault) -> int:
    return int(fault.parameters.get("seconds_to_wait", DEFAULT_WAIT_SECONDS))


def rate_limit_headers(limit: int, remaining: int, wait_seconds: float) -> dict[str, str]:
    return {
        "X-Ratelimit-Limit": str(limit),
        "X-Ratelimit-Remaining": str(remaining),
        "X-Ratelimit-Reset": str(int(time.time() + wait_seconds)),
    }


def corrupt_payload(
    mode: str, payload: Any, vital_fields: Collection[str], with_other_id: Callable[[Fields], Fields]
) -> bytes:
    """Return the body of a ``wrong_data`` fault for a payload that was right.

    Args:
        mode: One of the modes of the fault.
        payload: The decoded JSON.
        vital_fields: What ``missing_fields`` leaves out of every object.
        with_other_id: Makes the object of an order that of another order; leaves other objects alone.
    """
    text = json.dumps(payload).encode()
    if mode == "malformed":
        return text[:-1] + b", ]["
    if mode == "other_order":
        return json.dumps(_for_each_object(payload, with_other_id)).encode()
    if mode == "missing_fields":
        return json.dumps(_for_each_object(payload, lambda fields: _without(fields, vital_fields))).encode()
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


def _without(fields: Fields, names: Collection[str]) -> Fields:
    return {key: value for key, value in fields.items() if key not in names}
