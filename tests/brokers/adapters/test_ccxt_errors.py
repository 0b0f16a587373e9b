"""What a failed call at an exchange proves, from what was sent and what came back."""

import json
from datetime import UTC, datetime

import aiohttp
import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.adapters.ccxt.errors import ParseError, WrongOrderError, call_error, preparation_error
from brokers.adapters.ccxt.transport import (
    Attempt,
    CallRecord,
    LostConnectionError,
    MalformedReplyError,
    NotBegunError,
    Reply,
)
from reliability.core.classification import Operation
from reliability.core.taxonomy import FailureKind

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CLASSES = [
    ccxt.ExchangeError,
    ccxt.InvalidOrder,
    ccxt.InsufficientFunds,
    ccxt.BadRequest,
    ccxt.AuthenticationError,
    ccxt.ExchangeNotAvailable,
    ccxt.NetworkError,
    ccxt.RequestTimeout,
    ccxt.OrderNotFound,
    ccxt.RateLimitExceeded,
    ccxt.BadResponse,
]
bodies = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["", "<html>502 Bad Gateway</html>", '{"code":-2010,"msg":"Account has insufficient balance"}']),
    st.dictionaries(st.sampled_from(["code", "msg", "message"]), st.one_of(st.integers(), st.text(max_size=20))).map(
        json.dumps
    ),
)


def judged(error, *attempts, operation=Operation.SUBMIT, refuses_in_success=False):
    record = CallRecord(effectful=operation is not Operation.QUERY, attempts=list(attempts))
    return call_error(operation, "binance", error, record, refuses_in_success=refuses_in_success, now=NOW)


def answered(status, body="", method="POST", **headers):
    return Attempt(method, reply=Reply(status, headers, body))


@given(st.sampled_from(CLASSES), st.integers(200, 299), bodies)
def test_whatever_comes_with_a_status_of_success_proves_no_refusal(error, status, body):
    assert judged(error("binance x"), answered(status, body)).kind is FailureKind.AMBIGUOUS


@given(st.sampled_from(CLASSES), st.integers(500, 599), st.sampled_from(["", "<html>busy</html>", "{}", "upstream"]))
def test_a_server_that_failed_without_a_word_of_the_exchange_proves_nothing(error, status, body):
    assert judged(error(f"binance {status}"), answered(status, body)).kind is FailureKind.AMBIGUOUS


@given(st.sampled_from(CLASSES), st.integers(200, 599), bodies)
def test_a_query_is_never_ambiguous_and_a_throttled_call_never_a_refusal(error, status, body):
    failure = judged(error("binance x"), answered(status, body, "GET"), operation=Operation.QUERY)

    assert failure.kind is not FailureKind.AMBIGUOUS
    assert status != 429 or failure.kind is not FailureKind.REJECTED


@pytest.mark.parametrize(
    ("exception", "code"),
    [
        (TimeoutError(), "TIMEOUT_READ"),
        (LostConnectionError("gone"), "NETWORK_CONNECTION_LOST"),
        (aiohttp.ClientPayloadError("cut"), "DATA_MALFORMED_REPLY"),
        (MalformedReplyError("not JSON"), "DATA_MALFORMED_REPLY"),
        (ConnectionResetError("reset"), "NETWORK_CONNECTION_LOST"),
        (RuntimeError("anything"), "SYSTEM_ADAPTER_FAILURE"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_request_that_may_have_left_is_ambiguous_whatever_class_ccxt_makes_of_it(exception, code):
    if isinstance(exception, LostConnectionError):
        exception.__cause__ = aiohttp.ServerDisconnectedError()

    for outer in (ccxt.ExchangeError("x"), ccxt.ExchangeNotAvailable("x"), ccxt.RequestTimeout("x")):
        failure = judged(outer, Attempt("POST", failure=exception))
        assert (failure.kind, failure.code) == (FailureKind.AMBIGUOUS, code)


@pytest.mark.parametrize(
    ("exception", "code"),
    [
        (aiohttp.ConnectionTimeoutError("Connection timeout to host http://x"), "TIMEOUT_CONNECT"),
        (
            aiohttp.ClientConnectorError(
                aiohttp.client_reqrep.ConnectionKey("x", 443, True, True, None, None, None),
                ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"),
            ),
            "NETWORK_CONNECT_REFUSED",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_connection_that_was_never_made_proves_that_nothing_was_sent(exception, code):
    failure = judged(ccxt.ExchangeNotAvailable("x"), Attempt("POST", failure=exception))

    assert (failure.kind, failure.code) == (FailureKind.TRANSIENT, code)


@pytest.mark.parametrize(
    ("operation", "error", "status", "body", "kind", "code"),
    [
        ("submit", ccxt.InsufficientFunds, 400, (-2010, "Account has insufficient balance for requested action."),
         FailureKind.REJECTED, "BROKER_INSUFFICIENT_FUNDS"),
        ("submit", ccxt.InvalidOrder, 400, (-2010, "Duplicate order sent."),
         FailureKind.AMBIGUOUS, "BROKER_DUPLICATE_CLIENT_ORDER_ID"),
        ("submit", ccxt.ExchangeNotAvailable, 400, (-1013, "Filter failure: LOT_SIZE"),
         FailureKind.REJECTED, "VALIDATION_INVALID_ORDER"),
        ("submit", ccxt.OperationFailed, 503, (-1000, "Unknown error, please check your request or try again later."),
         FailureKind.AMBIGUOUS, "BROKER_SERVER_ERROR"),
        ("submit", ccxt.InvalidNonce, 400, (-1021, "Timestamp for this request is outside of the recvWindow."),
         FailureKind.TRANSIENT, "SYSTEM_CLOCK_SKEW"),
        ("submit", ccxt.AuthenticationError, 401, (-2015, "Invalid API-key, IP, or permissions for action."),
         FailureKind.TRANSIENT, "AUTH_INVALID_CREDENTIALS"),
        ("cancel", ccxt.OrderNotFound, 400, (-2011, "Unknown order sent."),
         FailureKind.AMBIGUOUS, "BROKER_ORDER_NOT_FOUND"),
        ("query", ccxt.OrderNotFound, 400, (-2013, "Order does not exist."),
         FailureKind.REJECTED, "BROKER_ORDER_NOT_FOUND"),
    ],
)  # fmt: skip
def test_the_exchanges_own_words_decide(operation, error, status, body, kind, code):
    text = json.dumps({"code": body[0], "msg": body[1]})

    failure = judged(error(f"binance {text}"), answered(status, text), operation=Operation(operation))

    assert (failure.kind, failure.code, failure.raw_code) == (kind, code, f"{status}/{body[0]}")


def test_throttling_carries_the_wait_and_a_limit_to_it():
    body = '{"code":-1003,"msg":"Too many requests."}'

    failure = judged(ccxt.DDoSProtection(f"binance 429 {body}"), answered(429, body, **{"Retry-After": "9"}))

    assert (failure.kind, failure.retry_after_seconds) == (FailureKind.THROTTLED, 9)


def test_a_reply_about_another_order_is_ambiguous_and_named():
    failure = judged(WrongOrderError("the reply is about another order"), answered(200, "{}"))

    assert (failure.kind, failure.code) == (FailureKind.AMBIGUOUS, "DATA_WRONG_ORDER")


def test_what_fails_after_the_order_went_through_leaves_it_ambiguous():
    went_through, follow_up = answered(200, "{}"), Attempt("GET", failure=ConnectionRefusedError("Connect call failed"))

    for error in (ccxt.ExchangeNotAvailable("x"), ParseError("x"), KeyError("x"), NotBegunError("C", "second")):
        assert judged(error, went_through, follow_up).kind is FailureKind.AMBIGUOUS


def test_what_fails_before_the_order_was_sent_leaves_it_to_be_sent():
    refused = answered(403, '{"code":-1002,"msg":"You are not authorized"}', "GET")

    assert judged(ccxt.PermissionDenied("x"), refused).kind is FailureKind.TRANSIENT
    assert preparation_error("binance", ccxt.BadSymbol("x"), CallRecord(False, [refused]), NOW).kind is (
        FailureKind.TRANSIENT
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ccxt.BadSymbol("binance does not have market symbol X/Y"), "VALIDATION_UNKNOWN_SYMBOL"),
        (ccxt.InvalidOrder("binance amount too small"), "VALIDATION_INVALID_ORDER"),
        (ccxt.NotSupported("binance createOrder() is not supported"), "VALIDATION_INVALID_REQUEST"),
        (TypeError("unsupported operand"), "SYSTEM_ADAPTER_FAILURE"),
    ],
)
def test_what_ccxt_refuses_by_itself_was_not_sent(error, code):
    failure = judged(error)

    assert (failure.kind, failure.code) == (FailureKind.REJECTED, code)


def test_a_call_with_an_effect_makes_one_request_that_may_have_it():
    record = CallRecord(effectful=True)
    record.begin("GET")
    record.begin("POST")
    record.begin("GET")

    with pytest.raises(NotBegunError):
        record.begin("POST")
    assert [attempt.method for attempt in record.attempts] == ["GET", "POST", "GET"]
