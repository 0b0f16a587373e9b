"""What Binance's error codes prove, on its spot API and where the futures API uses the same numbers otherwise.

Sources:
    "Error codes for Binance" (errors.md) and "HTTP Return Codes" of binance/binance-spot-api-docs;
    "General Info" of Binance's derivatives documentation for the three meanings of HTTP 503.
"""

import re

from brokers.adapters.binance.reasons import FILTER, reason_code
from brokers.adapters.failures.bodies import ErrorBody, as_code, find_body, is_page, read_body
from brokers.adapters.failures.transport import judge_causes, judge_exception
from brokers.adapters.failures.verdicts import (
    EFFECTFUL,
    exists,
    not_sent,
    read_back,
    refused,
    refused_for_now,
    unproven,
)
from reliability.core.classification import Operation, RawFailure
from reliability.core.rules import Proof, Verdict
from reliability.core.taxonomy import RecoveryStrategy

SOURCE = "binance"
_UNKNOWN_OUTCOME = {
    -1000: "BROKER_SERVER_ERROR",
    -1001: "BROKER_SERVER_ERROR",
    -1006: "DATA_MALFORMED_REPLY",
    -1007: "TIMEOUT_GATEWAY",
    -1016: "BROKER_UNAVAILABLE",
    -3000: "BROKER_SERVER_ERROR",
}
_FOR_NOW = {
    -1003: "RATE_LIMIT_EXCEEDED",
    -1004: "BROKER_OVERLOADED",
    -1008: "BROKER_OVERLOADED",
    -1015: "RATE_LIMIT_EXCEEDED",
    -1021: "SYSTEM_CLOCK_SKEW",
    -1034: "RATE_LIMIT_CONNECTIONS",
    -1035: "AUTH_SESSION_EXPIRED",
    -1125: "AUTH_SESSION_EXPIRED",
    -1181: "RATE_LIMIT_EXCEEDED",
    -3044: "BROKER_OVERLOADED",
}
_REFUSED = {
    -1002: "AUTH_FORBIDDEN",
    -1005: "AUTH_FORBIDDEN",
    -1011: "AUTH_FORBIDDEN",
    -1022: "AUTH_INVALID_CREDENTIALS",
    -1099: "AUTH_INVALID_CREDENTIALS",
    -1109: "AUTH_INVALID_CREDENTIALS",
    -1112: "DATA_NOT_AVAILABLE",
    -1121: "VALIDATION_UNKNOWN_SYMBOL",
    -1122: "VALIDATION_UNKNOWN_SYMBOL",
    -1191: "RATE_LIMIT_SUBSCRIPTIONS",
    -2008: "AUTH_INVALID_CREDENTIALS",
    -2014: "AUTH_INVALID_CREDENTIALS",
    -2015: "AUTH_INVALID_CREDENTIALS",
    -2016: "DATA_NOT_AVAILABLE",
    -2018: "BROKER_INSUFFICIENT_FUNDS",
    -2019: "BROKER_INSUFFICIENT_FUNDS",
    -2020: "BROKER_ORDER_REJECTED",
    -2023: "AUTH_ACCOUNT_RESTRICTED",
    -2024: "BROKER_INSUFFICIENT_POSITION",
    -2025: "BROKER_LIMIT_REACHED",
    -2026: "VALIDATION_ORDER_FINAL",
    -2027: "BROKER_LIMIT_REACHED",
    -2028: "BROKER_INSUFFICIENT_FUNDS",
    -3022: "AUTH_ACCOUNT_RESTRICTED",
    -3041: "BROKER_INSUFFICIENT_FUNDS",
    -4024: "BROKER_INSUFFICIENT_POSITION",
    -4164: "VALIDATION_INVALID_ORDER",
    -5021: "BROKER_ORDER_REJECTED",
    -5022: "BROKER_ORDER_WOULD_MATCH",
}
_BY_REASON = frozenset({-1010, -1013, -2010, -2011, -2021, -2022})
_RAW_CODE = re.compile(r"(?:HTTP[ /]?)?(?P<status>[1-5][0-9]{2})?(?:/?(?P<code>-[0-9]{1,6}|-))?", re.IGNORECASE)


def resolve_binance(raw: RawFailure) -> Verdict | None:
    """Return what a reply of Binance proves, or None for a code that is not documented.

    The raw code is Binance's (``-2010``), an HTTP status (``503``), or both (``400/-2010``), and the
    message the text or the whole body; or it is the class of the HTTP client's exception.
    """
    match = _RAW_CODE.fullmatch(raw.raw_code.strip())
    body = (None if is_page(raw.message) else find_body(raw.message)) or read_body(raw.message)
    status = raw.http_status or (int(match["status"]) if match and match["status"] else None)
    code = as_code(match["code"]) if match else None
    code = body.code if code is None else code
    if code is not None and code < 0:
        return judge_code(raw.operation, code, body)
    if status is not None:
        return _judge_status(raw.operation, status, body, raw.message)
    return judge_causes(raw.causes) or judge_exception(raw.raw_code, raw.message)


def judge_code(operation: Operation, code: int, body: ErrorBody) -> Verdict | None:
    """Return what one of Binance's own codes proves."""
    if code in _UNKNOWN_OUTCOME:
        return unproven(_UNKNOWN_OUTCOME[code])
    if code == -1003 and re.search(r"ip .*banned|banned until", body.message.lower()):
        return refused_for_now("RATE_LIMIT_BANNED")
    if code in _FOR_NOW:
        return refused_for_now(_FOR_NOW[code])
    if code == -2013:
        return read_back("BROKER_ORDER_NOT_FOUND") if operation in EFFECTFUL else refused("BROKER_ORDER_NOT_FOUND")
    if code in _BY_REASON:
        return _judge_reason(operation, code, body)
    if code in _REFUSED:
        return refused(_REFUSED[code])
    if -1199 <= code <= -1100 or code in (-1014, -1020, -1023) or -4199 <= code <= -4000:
        return refused("VALIDATION_INVALID_ORDER" if operation in EFFECTFUL else "VALIDATION_INVALID_REQUEST")
    return None


def _judge_reason(operation: Operation, code: int, body: ErrorBody) -> Verdict:
    """Judge the codes that stand for many reasons: new order, cancel, both at once, and filters."""
    text = body.message.lower()
    if "cancel-replace" in text or "cancelresult" in str(body.document or "").lower():
        return _judge_replacement(code, body)
    if "duplicate order" in text:
        return exists()
    if "unknown order" in text:
        return read_back("BROKER_ORDER_NOT_FOUND") if operation in EFFECTFUL else refused("BROKER_ORDER_NOT_FOUND")
    reason = reason_code(text)
    if reason:
        return refused(reason)
    if code == -2021 or code == -2022:
        return refused("BROKER_ORDER_REJECTED") if text else _judge_replacement(code, body)
    if code == -2011:
        return read_back("BROKER_ORDER_NOT_CANCELABLE")
    if code == -2010 and not text and operation in EFFECTFUL:
        return unproven("BROKER_ORDER_REJECTED", retryable=False)  # the words that are missing may say duplicate
    return refused("VALIDATION_INVALID_ORDER" if code == -1013 else "BROKER_ORDER_REJECTED")


def _judge_replacement(code: int, body: ErrorBody) -> Verdict:
    """Judge a cancel-and-replace: a half that took effect, or one that cannot be seen, leaves it open.

    Only when both halves are there and both are proven refusals was nothing changed.
    """
    data = (body.document or {}).get("data")
    if code == -2021 or not isinstance(data, dict):
        return unproven("BROKER_REPLACE_HALF_DONE", retryable=False, strategy=RecoveryStrategy.MANUAL)
    halves = [
        _judge_half(Operation.CANCEL, data.get("cancelResult"), data.get("cancelResponse")),
        _judge_half(Operation.SUBMIT, data.get("newOrderResult"), data.get("newOrderResponse")),
    ]
    if all(half is not None and half.proof in (Proof.REFUSED, Proof.NOT_SENT) for half in halves):
        return next(half for half in halves if half is not None)
    return unproven("BROKER_REPLACE_HALF_DONE", retryable=False, strategy=RecoveryStrategy.MANUAL)


def _judge_half(operation: Operation, result: object, response: object) -> Verdict | None:
    if result == "NOT_ATTEMPTED":
        return not_sent("BROKER_ORDER_REJECTED", retryable=False, strategy=RecoveryStrategy.MANUAL)
    if result != "FAILURE" or not isinstance(response, dict):
        return None
    code, text = as_code(response.get("code")), response.get("msg")
    if code is None:
        return None
    return judge_code(operation, code, ErrorBody(True, code, text if isinstance(text, str) else ""))


def _judge_status(operation: Operation, status: int, body: ErrorBody, message: str) -> Verdict:
    """Judge a reply without a code of Binance's own, or with a positive one."""
    text = body.message.lower()
    if status == 429:
        return refused_for_now("RATE_LIMIT_EXCEEDED")
    if status == 418:
        return refused_for_now("RATE_LIMIT_BANNED")
    if status >= 500 or status == 408:
        return _judge_server(status, text, message)
    if status == 409:
        return unproven("BROKER_REPLACE_HALF_DONE", retryable=False, strategy=RecoveryStrategy.MANUAL)
    if body.is_json and not is_page(message):
        reason = reason_code(text)
        if reason or FILTER.search(text):
            return refused(reason or "VALIDATION_INVALID_ORDER")
        if status == 401:
            return refused("AUTH_INVALID_CREDENTIALS")
    if status == 403:
        return unproven("RATE_LIMIT_EXCEEDED")  # the firewall in front: a limit, or a block of the address
    return unproven("DATA_MALFORMED_REPLY")


def _judge_server(status: int, text: str, message: str) -> Verdict:
    """Judge a 5xx: Binance says its outcome is unknown, but for two texts of a 503 that mean it failed."""
    if status == 503 and not is_page(message):
        if re.search(r"unknown error|please check your request", text):
            return unproven("TIMEOUT_GATEWAY")
        if text.strip() == "service unavailable.":
            return refused_for_now("BROKER_UNAVAILABLE")
        if re.search(r"overloaded|server (is )?busy|throttled by system", text):
            return refused_for_now("BROKER_OVERLOADED")
    if "under maintenance" in text and not is_page(message):
        return refused_for_now("BROKER_MAINTENANCE")
    if status in (408, 504, 522, 524):
        return unproven("TIMEOUT_GATEWAY")
    return unproven("BROKER_UNAVAILABLE" if status in (502, 503, 520, 521, 523) else "BROKER_SERVER_ERROR")
