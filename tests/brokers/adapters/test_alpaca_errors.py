"""What each failure proves, as a table: one row per observed or documented reply, with its source."""

import errno
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from brokers.adapters.alpaca.errors import (
    CODES,
    MESSAGE_LIMIT,
    Operation,
    classify_exception,
    classify_response,
    is_absent_order,
)
from reliability.core.taxonomy import FailureKind

S, C, Q = Operation.SUBMIT, Operation.CANCEL, Operation.QUERY
TRANSIENT, THROTTLED, REJECTED, AMBIGUOUS = FailureKind
NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)

SPEC = "Alpaca OpenAPI, trading-api.json"
GUIDE = "Alpaca: How to fix common Trading API errors"
NOTES = "wire notes"
RULE = "rule: in doubt, ambiguous"
ASSUMED = "no published example found: the wording is assumed"
HTML = "<html><head><title>{}</title></head><body><center><h1>{}</h1></center><hr>nginx</body></html>"


def _json(code: int | None, message: str, **extras: str) -> str:
    return json.dumps({**({} if code is None else {"code": code}), "message": message, **extras})


FUNDS, POSITION = "BROKER_INSUFFICIENT_FUNDS", "BROKER_INSUFFICIENT_POSITION"
INVALID, REJECT, MALFORMED = "VALIDATION_INVALID_ORDER", "BROKER_ORDER_REJECTED", "DATA_MALFORMED_REPLY"
SYMBOL, WASH, PDT = "VALIDATION_UNKNOWN_SYMBOL", "BROKER_WASH_TRADE", "BROKER_PATTERN_DAY_TRADER"
NOT_CANCELABLE, NOT_FOUND = "BROKER_ORDER_NOT_CANCELABLE", "BROKER_ORDER_NOT_FOUND"
KEY, FORBIDDEN, REQUEST = "AUTH_INVALID_CREDENTIALS", "AUTH_FORBIDDEN", "VALIDATION_INVALID_REQUEST"
SERVER, AWAY, GATEWAY = "BROKER_SERVER_ERROR", "BROKER_UNAVAILABLE", "TIMEOUT_GATEWAY"
DUPLICATE, RATE = "BROKER_DUPLICATE_CLIENT_ORDER_ID", "RATE_LIMIT_EXCEEDED"

REPLIES = [
    # operation, status, body, kind, code, source
    (S, 403, _json(40310000, "insufficient buying power", buying_power="1"), REJECTED, FUNDS, "alpaca-py#225"),
    (S, 403, _json(40310000, "insufficient daytrading buying power"), REJECTED, FUNDS, "Alpaca-API#112"),
    (S, 403, _json(40310000, "insufficient day trading buying power"), REJECTED, FUNDS, ASSUMED),
    (
        S,
        403,
        _json(40310000, "insufficient balance for USD (requested: 9, available: 1)"),
        REJECTED,
        FUNDS,
        ASSUMED,
    ),
    (
        S,
        403,
        _json(40310000, "insufficient balance for BTC (requested: 9, available: 1)"),
        REJECTED,
        POSITION,
        ASSUMED,
    ),
    (
        S,
        403,
        _json(40310000, "insufficient qty available for order (requested: 459, available: 0)"),
        REJECTED,
        POSITION,
        "Alpaca-API#111",
    ),
    (
        S,
        403,
        _json(40310000, "insufficient underlying qty available for covered call (required: 200, available: 0)"),
        REJECTED,
        POSITION,
        "Alpaca-API#271",
    ),
    (S, 403, _json(40310000, "no available position for the specified contract"), REJECTED, POSITION, SPEC),
    (S, 403, _json(40310000, "account is not allowed to short"), REJECTED, REJECT, "alpaca-trade-api-js#57"),
    (S, 403, _json(40310000, "new orders are rejected by user request"), REJECTED, REJECT, "lumibot#373"),
    (
        S,
        403,
        _json(40310000, "cannot open a long buy while a short sell order is open"),
        REJECTED,
        WASH,
        "alpaca_zorro_plugin#12",
    ),
    (S, 403, _json(40310000, "potential wash trade detected. use complex orders"), REJECTED, WASH, NOTES),
    (S, 422, _json(42210000, "potential wash trade detected. use complex orders"), REJECTED, WASH, "alpaca-java#145"),
    (S, 403, _json(40310100, "trade denied due to pattern day trading protection"), REJECTED, PDT, "forum 211"),
    (S, 403, _json(40310100, "intraday margin rejection"), REJECTED, PDT, "trading-signals#1366"),
    (S, 403, _json(40310000, "entry denied due to pattern day trading"), REJECTED, PDT, "forum 211"),
    (S, 403, _json(40310000, "market is closed"), REJECTED, "BROKER_MARKET_CLOSED", ASSUMED),
    (S, 403, _json(40310000, "your account is set to liquidation only"), REJECTED, REJECT, "Alpaca-API#168"),
    (S, 403, _json(40310000, "something that nobody has met yet"), REJECTED, REJECT, ASSUMED),
    (
        S,
        422,
        _json(40010001, "us_equity orders not allowed for account"),
        REJECTED,
        REJECT,
        "alpaca-java#147",
    ),
    (
        S,
        422,
        _json(40010001, "could not find us_equity 'b0b6dd9d-8b9b-48a9-ba46-b9d54906e415'"),
        REJECTED,
        SYMBOL,
        "Alpaca-API#184",
    ),
    (S, 422, _json(42210000, "invalid symbol"), REJECTED, SYMBOL, SPEC),
    (S, 422, _json(40010001, 'asset "ZZZZ" not found'), REJECTED, SYMBOL, ASSUMED),
    (S, 404, _json(40410000, "asset not found for ZZZZ"), REJECTED, SYMBOL, "Alpaca-API#114"),
    (S, 422, _json(42210000, "asset ZZZZ is not tradable"), REJECTED, "BROKER_ASSET_NOT_TRADABLE", ASSUMED),
    (S, 422, _json(42210000, "asset ZZZZ is not active"), REJECTED, "BROKER_ASSET_NOT_TRADABLE", ASSUMED),
    (S, 422, _json(40010001, "limit price must be > 0"), REJECTED, INVALID, "Alpaca-API#80"),
    (
        S,
        422,
        _json(40010001, "market orders require no stop or limit price"),
        REJECTED,
        INVALID,
        "Alpaca-API#80",
    ),
    (S, 422, _json(42210000, "fractional orders must be DAY orders"), REJECTED, INVALID, ASSUMED),
    (
        S,
        422,
        _json(42210000, "invalid limit_price 10.001. sub-penny increment does not fulfill minimum pricing criteria"),
        REJECTED,
        INVALID,
        ASSUMED,
    ),
    (S, 400, _json(40010000, "failed to decode request body"), REJECTED, INVALID, SPEC),
    (S, 422, _json(None, "qty is required"), REJECTED, INVALID, ASSUMED),
    (S, 422, _json(40010001, "client_order_id must be unique"), AMBIGUOUS, DUPLICATE, "alpaca-py#260"),
    (S, 422, _json(42210000, "client order id must be unique"), AMBIGUOUS, DUPLICATE, NOTES),
    (S, 422, _json(40010001, "client_order_id must be no more than 128 characters"), REJECTED, INVALID, ASSUMED),
    (S, 401, _json(None, "unauthorized"), TRANSIENT, KEY, GUIDE),
    (S, 401, _json(40110000, "request is not authorized"), TRANSIENT, KEY, SPEC),
    (S, 401, "", TRANSIENT, KEY, NOTES),
    (C, 401, _json(None, "unauthorized."), TRANSIENT, KEY, GUIDE),
    (Q, 401, _json(None, "Unauthorized"), TRANSIENT, KEY, SPEC),
    (S, 403, _json(None, "forbidden."), TRANSIENT, FORBIDDEN, "alpaca-py APIError without a code"),
    (S, 403, _json(40310000, "forbidden"), TRANSIENT, FORBIDDEN, SPEC),
    (S, 403, "", TRANSIENT, FORBIDDEN, NOTES),
    (Q, 403, _json(None, "Forbidden"), TRANSIENT, FORBIDDEN, SPEC),
    (S, 403, _json(None, "insufficient buying power"), REJECTED, FUNDS, NOTES),
    (S, 403, HTML.format("403 Forbidden", "403"), AMBIGUOUS, MALFORMED, RULE),
    (S, 401, HTML.format("401 Unauthorized", "401"), AMBIGUOUS, MALFORMED, RULE),
    (S, 400, HTML.format("400 Bad Request", "400"), AMBIGUOUS, MALFORMED, RULE),
    (S, 422, HTML.format("422", "422"), AMBIGUOUS, MALFORMED, RULE),
    (S, 422, "", AMBIGUOUS, MALFORMED, RULE),
    (S, 422, "{}", AMBIGUOUS, MALFORMED, RULE),
    (S, 422, "[]", AMBIGUOUS, MALFORMED, RULE),
    (S, 404, HTML.format("404 Not Found", "404"), AMBIGUOUS, MALFORMED, RULE),
    (S, 404, _json(None, "endpoint not found."), AMBIGUOUS, MALFORMED, RULE),
    (S, 301, "", AMBIGUOUS, MALFORMED, RULE),
    (S, 409, _json(40910000, "conflict"), AMBIGUOUS, MALFORMED, RULE),
    (S, 408, "", AMBIGUOUS, GATEWAY, RULE),
    (Q, 404, HTML.format("404 Not Found", "404"), TRANSIENT, MALFORMED, NOTES),
    (Q, 404, _json(40410000, "account not found for 662d0fac"), TRANSIENT, MALFORMED, "alpaca-cli#3"),
    (Q, 404, _json(40410000, "order not found for abc"), REJECTED, NOT_FOUND, "Alpaca-API#135"),
    (Q, 422, _json(40010001, "order_id is missing"), REJECTED, REQUEST, "Alpaca-API#135"),
    (Q, 422, _json(42210001, "failed to parse after"), REJECTED, REQUEST, SPEC),
    (C, 404, _json(40410000, "order not found"), REJECTED, NOT_FOUND, NOTES),
    (C, 404, HTML.format("404 Not Found", "404"), AMBIGUOUS, MALFORMED, RULE),
    (C, 422, _json(42210000, 'order is already in "filled" state'), REJECTED, NOT_CANCELABLE, "trading-signals#1079"),
    (C, 422, _json(42210000, "The order status is not cancelable."), REJECTED, NOT_CANCELABLE, SPEC),
    (C, 422, _json(42210000, "nothing known"), REJECTED, NOT_CANCELABLE, ASSUMED),
    (C, 422, _json(40010001, "order_id is missing"), REJECTED, REQUEST, "Alpaca-API#135"),
    (S, 429, _json(42910000, "rate limit exceeded"), THROTTLED, RATE, NOTES),
    (C, 429, HTML.format("429", "Too Many Requests"), THROTTLED, RATE, "alpaca-py#740"),
    (Q, 429, "", THROTTLED, RATE, SPEC),
    (S, 500, _json(50010000, "internal server error occurred"), AMBIGUOUS, SERVER, SPEC),
    (S, 500, _json(40310000, "insufficient buying power"), AMBIGUOUS, SERVER, RULE),
    (C, 500, _json(None, "Failed to cancel order."), AMBIGUOUS, SERVER, SPEC),
    (Q, 500, _json(None, "Internal Server Error"), TRANSIENT, SERVER, SPEC),
    (S, 502, HTML.format("502 Bad Gateway", "502"), AMBIGUOUS, AWAY, NOTES),
    (S, 503, HTML.format("503", "Service Unavailable"), AMBIGUOUS, AWAY, NOTES),
    (Q, 503, "", TRANSIENT, AWAY, NOTES),
    (S, 504, HTML.format("504", "Gateway Time-out"), AMBIGUOUS, GATEWAY, "alpaca-py retries 504"),
    (C, 504, "", AMBIGUOUS, GATEWAY, "alpaca-py retries 504"),
    (Q, 504, "", TRANSIENT, GATEWAY, "alpaca-py retries 504"),
    (S, 524, HTML.format("524", "A timeout occurred"), AMBIGUOUS, GATEWAY, RULE),
]

_KEY = SimpleNamespace(host="broker.test", port=443, is_ssl=True, ssl=True)


def _connector(error: OSError) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(_KEY, error)


def _certificate_error() -> aiohttp.ClientConnectorCertificateError:
    return aiohttp.ClientConnectorCertificateError(_KEY, ssl.SSLCertVerificationError("hostname mismatch"))


EXCEPTIONS = [
    # exception, whether it proves that nothing was sent, code
    (_connector(ConnectionRefusedError(errno.ECONNREFUSED, "refused")), True, "NETWORK_CONNECT_REFUSED"),
    (_connector(OSError(errno.ENETUNREACH, "unreachable")), True, "NETWORK_UNREACHABLE"),
    (_connector(OSError(errno.EHOSTUNREACH, "no route")), True, "NETWORK_UNREACHABLE"),
    (_connector(OSError(errno.ETIMEDOUT, "timed out")), True, "TIMEOUT_CONNECT"),
    (aiohttp.ClientConnectorDNSError(_KEY, socket.gaierror(-2, "unknown")), True, "NETWORK_DNS_FAILED"),
    (aiohttp.ClientConnectorSSLError(_KEY, ssl.SSLError(1, "handshake")), True, "NETWORK_TLS_FAILED"),
    (_certificate_error(), True, "NETWORK_TLS_FAILED"),
    (aiohttp.ConnectionTimeoutError("connect"), True, "TIMEOUT_CONNECT"),
    (aiohttp.SocketTimeoutError("read"), False, "TIMEOUT_READ"),
    (aiohttp.ServerTimeoutError("read"), False, "TIMEOUT_READ"),
    (TimeoutError(), False, "TIMEOUT_READ"),
    (aiohttp.ServerDisconnectedError(), False, "NETWORK_CONNECTION_LOST"),
    (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), False, "NETWORK_CONNECTION_LOST"),
    (aiohttp.ClientConnectionResetError("closing transport"), False, "NETWORK_CONNECTION_LOST"),
    (ConnectionResetError(errno.ECONNRESET, "reset"), False, "NETWORK_CONNECTION_LOST"),
    (ssl.SSLError(1, "bad record"), False, "NETWORK_CONNECTION_LOST"),
    (aiohttp.ClientPayloadError("truncated"), False, "DATA_MALFORMED_REPLY"),
    (aiohttp.ClientResponseError(None, (), status=400, message="bad line"), False, "DATA_MALFORMED_REPLY"),
    (RuntimeError("surprise"), False, "SYSTEM_ADAPTER_FAILURE"),
]


def _classify(operation, status, body="", **headers):
    return classify_response(operation, status, CIMultiDict(headers), body, NOW)


@pytest.mark.parametrize(("operation", "status", "body", "kind", "code", "source"), REPLIES)
def test_a_reply_is_classified_as_its_source_says(operation, status, body, kind, code, source):
    error = _classify(operation, status, body)

    assert (error.kind, error.code) == (kind, code), source
    assert error.raw_code.startswith(f"{status}/")


def test_the_table_is_wide_enough_to_lean_on():
    assert len(REPLIES) >= 60


@pytest.mark.parametrize(("exception", "is_proven", "code"), EXCEPTIONS)
@pytest.mark.parametrize("operation", Operation)
def test_only_a_failure_to_connect_proves_that_nothing_was_sent(operation, exception, is_proven, code):
    error = classify_exception(operation, exception)

    harmless = is_proven or operation is Q
    assert (error.kind, error.code) == (TRANSIENT if harmless else AMBIGUOUS, code)


@given(
    st.sampled_from([S, C]),
    st.integers(300, 599).filter(lambda status: status not in (400, 401, 403, 404, 422, 429)),
    st.text(),
)
def test_no_other_status_ever_settles_an_order(operation, status, body):
    assert _classify(operation, status, body).kind is AMBIGUOUS


@given(
    st.sampled_from(Operation),
    st.integers(100, 999),
    st.one_of(st.text(), st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps)),
    st.dictionaries(st.sampled_from(["Retry-After", "X-Ratelimit-Reset"]), st.text()),
)
def test_anything_at_all_becomes_a_known_code(operation, status, body, headers):
    error = classify_response(operation, status, CIMultiDict(headers), body, NOW)

    assert error.code in CODES
    assert len(error.message) <= MESSAGE_LIMIT
    assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds <= 60


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "2"}, 2),
        ({"retry-after": "0.5"}, 0.5),
        ({"Retry-After": "86400"}, 60),
        ({"Retry-After": format_datetime(NOW + timedelta(seconds=7), usegmt=True)}, 7),
        ({"Retry-After": format_datetime(NOW - timedelta(seconds=7), usegmt=True)}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"X-Ratelimit-Reset": str(int(NOW.timestamp()) + 9)}, 9),
        ({"X-Ratelimit-Reset": "soon"}, None),
        ({"Retry-After": "soon", "X-Ratelimit-Reset": str(int(NOW.timestamp()) + 9)}, 9),
        ({}, None),
    ],
)
def test_the_wait_the_broker_names_is_kept_within_a_minute(headers, seconds):
    assert _classify(S, 429, **headers).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("status", "body", "is_absent"),
    [
        (404, _json(40410000, "order not found for abc"), True),
        (404, _json(None, "order not found"), True),
        (404, _json(40410000, "account not found for abc"), False),
        (404, _json(40410000, ""), False),
        (404, HTML.format("404", "order not found"), False),
        (404, "order not found", False),
        (404, "", False),
        (410, _json(41010000, "order not found"), False),
        (200, _json(40410000, "order not found"), False),
        (500, _json(40410000, "order not found"), False),
    ],
)
def test_only_the_brokers_own_word_makes_an_order_absent(status, body, is_absent):
    assert is_absent_order(status, body) is is_absent
