"""Binance's manner: its login by signature, its errors, and its orders damaged on purpose."""

import re
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from brokers.simulator.binance.requests import (
    BinanceRefusalError,
    check_signature,
    check_timing,
    params_of,
    signed_text,
)
from brokers.simulator.broker import Broker
from brokers.simulator.fault_replies import corrupt_payload, retry_after_headers
from brokers.simulator.faults import Fault
from brokers.simulator.gate import Call, Dialect
from brokers.simulator.wire import Json

VITAL_FIELDS = frozenset(
    {"orderId", "clientOrderId", "status", "executedQty", "origQty", "id", "qty", "price", "free", "locked", "symbols"}
)
_API_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_OTHER_ORDERS = 1_000_000_000


class _Public:
    """Calls that everybody may make."""

    default_error: Json = {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."}

    def check_login(self, call: Call) -> None:
        return

    def client_order_id(self, call: Call) -> str | None:
        params = params_of(call)
        return params.get("newClientOrderId") or params.get("origClientOrderId") or None

    def rate_limit_reply(self, fault: Fault) -> web.Response:
        limit = fault.parameters.get("per_minute", 6000)
        message = f"Too many requests; current limit of IP(127.0.0.1) is {limit} request weight per 1 MINUTE."
        return web.json_response({"code": -1003, "msg": message}, status=429, headers=retry_after_headers(fault))

    def auth_expired_reply(self, fault: Fault) -> web.Response:
        refusal = unknown_key()
        return web.json_response(refusal.body, status=refusal.status)

    def corrupt(self, mode: str, payload: Any) -> bytes:
        return corrupt_payload(mode, payload, VITAL_FIELDS, _with_other_id)


class _Private(_Public):
    """Calls that have to be signed."""

    def check_login(self, call: Call) -> None:
        params = params_of(call)
        check_key(call.broker, call.request.headers.get("X-MBX-APIKEY", ""))
        check_signature(params.get("signature", ""), signed_text(call), call.broker.settings.api_secret)
        check_timing(params)


def check_key(broker: Broker, key: str) -> None:
    """Refuse a key that is not this account's.

    Raises:
        BinanceRefusalError: -2014 for what cannot be a key, -2015 for an unknown one.
    """
    if not _API_KEY.fullmatch(key):
        raise BinanceRefusalError(-2014, "API-key format invalid.", 401)
    if not broker.is_known_key(key, broker.settings.api_secret or "any"):
        raise unknown_key()


def check_signed_message(broker: Broker, params: Mapping[str, Any]) -> None:
    """Check a signed websocket request, whose signature covers its parameters in the order of their names.

    Raises:
        BinanceRefusalError: As for a signed call.
    """
    texts = {str(name): str(value) for name, value in params.items()}
    check_key(broker, texts.get("apiKey", ""))
    signature = texts.pop("signature", "")
    signed = "&".join(f"{name}={texts[name]}" for name in sorted(texts))
    check_signature(signature, signed, broker.settings.api_secret)
    check_timing(texts)


def unknown_key() -> BinanceRefusalError:
    return BinanceRefusalError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def server_time() -> int:
    return int(time.time() * 1000)


def _with_other_id(fields: Json) -> Json:
    if "orderId" not in fields:
        return fields
    other = _OTHER_ORDERS + int(fields["orderId"])
    return {**fields, "orderId": other, "clientOrderId": f"other-{other}"}


PUBLIC: Dialect = _Public()
PRIVATE: Dialect = _Private()
