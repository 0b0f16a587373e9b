"""What an adapter judged by the shape of the answer alone is marked for people to look at; what it knows is not."""

import pickle
from datetime import UTC, datetime

import pytest
from aiohttp import ClientPayloadError
from multidict import CIMultiDict

from brokers.adapters.alpaca import errors as alpaca
from brokers.adapters.ccxt.errors import call_error as ccxt_error
from brokers.adapters.ccxt.transport import CallRecord
from brokers.adapters.errors import BrokerCallError
from brokers.adapters.failure_rules import live_source
from brokers.adapters.ib import errors as ib
from brokers.services.reviewed_session import kind_of, review
from reliability.core.classification import Operation, RawFailure
from reliability.core.taxonomy import FailureKind
from reliability.services.classification import preview

NOW = datetime(2026, 3, 2, tzinfo=UTC)


class _OddError(Exception):
    """An exception that no table of an adapter has."""


def replied(status: int, body: str) -> BrokerCallError:
    return alpaca.classify_response(alpaca.Operation.SUBMIT, status, CIMultiDict(), body, NOW)


@pytest.mark.parametrize(
    ("failure", "is_unexplained"),
    [
        (replied(422, '{"code": 42299999, "message": "the venue sleeps"}'), True),
        (replied(403, '{"code": 40399999, "message": "the moon is full"}'), True),
        (replied(409, '{"message": "the venue sleeps"}'), True),
        (replied(422, '{"code": 42210000, "message": "limit price must be > 0"}'), False),
        (replied(403, '{"code": 40310000, "message": "insufficient buying power"}'), False),
        (replied(500, '{"message": "the venue sleeps"}'), False),
        (replied(404, "<html><body>nothing here</body></html>"), False),
        (alpaca.classify_exception(alpaca.Operation.SUBMIT, _OddError("odd")), True),
        (alpaca.classify_exception(alpaca.Operation.SUBMIT, ClientPayloadError("cut")), False),
        (ib.call_error(Operation.SUBMIT, ib.ApiError(98_765, "the venue sleeps")), True),
        (ib.call_error(Operation.SUBMIT, ib.OrderEndedError(98_765, "the venue sleeps")), True),
        (ib.call_error(Operation.SUBMIT, ib.OrderEndedError(201, "insufficient funds")), False),
        (ib.call_error(Operation.SUBMIT, _OddError("odd")), True),
        (ib.timed_out(Operation.SUBMIT, sent=True, seconds=5), False),
    ],
)
def test_only_what_nobody_knows_is_marked(failure: BrokerCallError, is_unexplained: bool) -> None:
    assert failure.unexplained is is_unexplained


def test_an_exception_before_any_request_of_ccxt_is_no_answer_to_look_at() -> None:
    record = CallRecord(effectful=True)
    failure = ccxt_error(Operation.SUBMIT, "kraken", _OddError("odd"), record, refuses_in_success=False, now=NOW)

    assert failure.kind is FailureKind.REJECTED
    assert failure.unexplained is False


def test_a_failure_keeps_everything_in_other_words_and_across_processes() -> None:
    failure = BrokerCallError(FailureKind.THROTTLED, "RATE_LIMIT_EXCEEDED", "key PK1", "429/1", 3.0, True, "confirmed")
    for one in (failure.reworded("key [key]"), pickle.loads(pickle.dumps(failure))):
        facts = (one.kind, one.code, one.raw_code, one.retry_after_seconds, one.unexplained, one.rule)
        assert facts == (FailureKind.THROTTLED, "RATE_LIMIT_EXCEEDED", "429/1", 3.0, True, "confirmed")


def test_without_a_rule_a_failure_stays_as_the_adapter_judged_it() -> None:
    failure = replied(403, '{"code": 40310000, "message": "insufficient buying power"}')

    assert review("alpaca_rest", Operation.SUBMIT, failure) is failure


@pytest.mark.parametrize(
    ("operation", "raw_code", "kind"),
    [
        (Operation.SUBMIT, "500/-", FailureKind.AMBIGUOUS),
        (Operation.QUERY, "500/-", FailureKind.TRANSIENT),
        (Operation.QUERY, "404/-", FailureKind.TRANSIENT),
        (Operation.QUERY, "429/-", FailureKind.THROTTLED),
        (Operation.CANCEL, "401/-", FailureKind.TRANSIENT),
    ],
)
def test_a_classification_means_for_a_call_what_adapters_mean(
    operation: Operation, raw_code: str, kind: FailureKind
) -> None:
    assert kind_of(preview(RawFailure("alpaca_rest", operation, raw_code))) is kind


@pytest.mark.parametrize(
    ("adapter", "source"), [("alpaca", "alpaca_rest"), ("ccxt:binance", "ccxt"), ("ib", "ib"), ("fake", "fake")]
)
def test_rules_name_the_source_of_an_adapter(adapter: str, source: str) -> None:
    assert live_source(adapter) == source
