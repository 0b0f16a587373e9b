"""Exceptions as they are raised, guesses and who is told of them, and what a person confirmed."""

import json
import socket
from collections.abc import Iterator

import pytest
from django.db import utils

from reliability.core.classification import ClassifiedError, Operation, Proof, RawFailure
from reliability.core.rules import Rule, Verdict
from reliability.services import classification
from reliability.services.classification import classify, classify_exception, on_guess, preview, set_confirmed_rules

UNKNOWN = RawFailure("a broker of tomorrow", Operation.SUBMIT, "E-77", "the gremlins ate it")


@pytest.fixture
def guesses(monkeypatch: pytest.MonkeyPatch) -> list[ClassifiedError]:
    told: list[ClassifiedError] = []
    monkeypatch.setattr(classification, "_observers", [])
    on_guess(told.append)
    return told


@pytest.fixture
def confirmed() -> Iterator[None]:
    yield
    set_confirmed_rules([])


def raised(inner: BaseException, outer: BaseException) -> BaseException:
    try:
        try:
            raise inner
        except BaseException as cause:
            raise outer from cause
    except BaseException as error:
        return error


def test_sources_of_brokers_and_generic_ones_are_there() -> None:
    assert {
        "alpaca_rest",
        "ccxt",
        "ib",
        "binance",
        "http",
        "requests",
        "psycopg",
        "redis",
    } <= classification.known_sources()


def test_a_real_refused_connection_was_never_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as caught:
        socket.create_connection(("127.0.0.1", port), timeout=5)

    bare = classify_exception(caught.value, "python", Operation.SUBMIT)
    wrapped = classify_exception(raised(caught.value, RuntimeError("order failed")), "python", Operation.SUBMIT)

    assert (bare.code, bare.ambiguous) == ("NETWORK_CONNECT_REFUSED", False)
    assert (wrapped.code, wrapped.ambiguous) == ("NETWORK_CONNECT_REFUSED", False)


def test_a_reset_behind_a_vague_class_leaves_the_outcome_open() -> None:
    error = classify_exception(raised(ConnectionResetError(104, "reset"), OSError("x")), "python", Operation.SUBMIT)

    assert (error.code, error.ambiguous) == ("NETWORK_CONNECTION_LOST", True)


def test_exceptions_carried_as_arguments_are_causes_too() -> None:
    """requests wraps what it caught as its argument, without a cause."""
    requests = pytest.importorskip("requests", reason="requests is not installed")

    error = classify_exception(
        requests.exceptions.ConnectionError(ConnectionRefusedError(111, "x")), "requests", Operation.SUBMIT
    )

    assert not error.ambiguous


def test_an_error_of_the_database_is_known_by_its_sqlstate_through_djangos_wrapper() -> None:
    import psycopg

    inner = psycopg.errors.SerializationFailure("could not serialize access")
    error = classify_exception(raised(inner, utils.OperationalError("x")), "psycopg", Operation.DB_COMMIT)

    assert (error.code, error.raw.raw_code, error.ambiguous) == ("SYSTEM_DATABASE_CONFLICT", "40001", False)


def test_a_chain_without_end_and_a_text_that_cannot_be_had_do_no_harm() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ValueError

    first, second = MuteError(), OSError("x")
    first.__cause__, second.__cause__ = second, first

    assert classify_exception(first, "python", Operation.SUBMIT).ambiguous


def test_a_guess_is_told_and_a_rule_is_not(guesses: list[ClassifiedError]) -> None:
    error = classify(UNKNOWN)
    classify(RawFailure("requests", Operation.SUBMIT, "ReadTimeout"))
    preview(UNKNOWN)

    assert guesses == [error]
    assert (error.guessed, error.ambiguous) == (True, True)


def test_who_is_told_cannot_break_a_classification(
    guesses: list[ClassifiedError], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: ClassifiedError) -> None:
        raise RuntimeError("no database")

    classification._observers.insert(0, broken)

    assert classify(UNKNOWN) == guesses[0]
    assert "a guess could not be told" in caplog.text


@pytest.mark.usefixtures("confirmed")
def test_a_confirmed_guess_is_a_guess_no_more(guesses: list[ClassifiedError]) -> None:
    guess = classify(UNKNOWN)
    verdict = Verdict("BROKER_ORDER_REJECTED", Proof.REFUSED)
    set_confirmed_rules([Rule(UNKNOWN.source, verdict, raw_codes=(UNKNOWN.raw_code,))])

    error = classify(UNKNOWN)

    assert guess.guessed
    assert (error.code, error.guessed, error.ambiguous) == ("BROKER_ORDER_REJECTED", False, False)
    assert len(guesses) == 1


def test_the_answers_headers_come_along() -> None:
    class Response:
        headers = {"Retry-After": "4"}

    error = RuntimeError("429")
    error.response = Response()  # type: ignore[attr-defined]
    raw = classification.raw_failure_of(error, "http", Operation.QUERY)

    assert raw.headers == {"Retry-After": "4"}
    assert json.dumps(dict(raw.headers))
