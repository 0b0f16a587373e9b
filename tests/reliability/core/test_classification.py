"""What raw failures mean: examples with their origin, and what must hold for any of them."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reliability.core.catalog import CATALOG
from reliability.core.classification import EFFECTFUL_OPERATIONS, ClassifiedError, Operation, Proof, RawFailure
from reliability.core.classifier import Classifier
from reliability.core.rules import Rule, Verdict
from reliability.core.sources.registry import generic_resolvers
from reliability.core.taxonomy import FailureKind, RecoveryStrategy

CLASSIFIER = Classifier(resolvers=generic_resolvers())
SOURCES = sorted(CLASSIFIER.sources)
ROWS = list(csv.DictReader((Path(__file__).parent / "failures.csv").open(newline="")))
TRYING_AGAIN = {
    RecoveryStrategy.RETRY_IMMEDIATE,
    RecoveryStrategy.RETRY_BACKOFF,
    RecoveryStrategy.CIRCUIT_BREAK,
    RecoveryStrategy.FAILOVER,
}

# Anything at all, mixed with what the rules look for, so that the branches behind them are met too.
told = ["insufficient funds", "must be unique", "<html>", "timed out", "refused", "\x00"]
words = st.sampled_from([row["raw_message"] for row in ROWS] + told)
messages = st.one_of(st.text(max_size=80), words, st.builds("{} {}".format, st.text(max_size=20), words))
codes = st.one_of(
    st.text(max_size=20),
    st.sampled_from([row["raw_code"] for row in ROWS]),
    st.builds("{}/{}".format, st.integers(100, 599), st.sampled_from(["-", "40310000", ""])),
    st.builds("{}:{}".format, st.sampled_from(["OperationalError", "ConnectionError", "X"]), messages),
    st.integers(1000, 4999).map(str),
)
causes = st.lists(st.tuples(codes, messages), max_size=3).map(tuple)
raws = st.builds(
    RawFailure,
    source=st.one_of(st.sampled_from(SOURCES), st.text(max_size=8)),
    operation=st.sampled_from(Operation),
    raw_code=codes,
    message=messages,
    http_status=st.one_of(st.none(), st.integers(0, 999)),
    headers=st.dictionaries(st.sampled_from(["Retry-After", "Date", "X-RateLimit-Reset", "x"]), st.text(max_size=20)),
    causes=causes,
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['source']}-{row['operation']}-{row['raw_code'][:30]}")
def test_a_known_failure_means_what_its_origin_says(row: dict[str, str]) -> None:
    error = classify(row["source"], row["operation"], row["raw_code"], row["raw_message"])

    assert row["origin"]
    assert not error.guessed
    assert (error.code, str(error.retryable).lower(), str(error.ambiguous).lower(), error.strategy.value) == (
        row["code"],
        row["retryable"],
        row["ambiguous"],
        row["strategy"],
    ), error.rule


def classify(source: str, operation: str, raw_code: str, message: str = "", **more: object) -> ClassifiedError:
    return CLASSIFIER.classify(RawFailure(source, Operation(operation), raw_code, message, **more))  # type: ignore[arg-type]


@given(raws)
@example(RawFailure("http", Operation.SUBMIT, "200/-", "[" * 100_000))
@example(RawFailure("", Operation.SUBMIT, "a." * 5000, "\ud800"))
@example(RawFailure("psycopg", Operation.DB_COMMIT, "x:" + "(" * 400, "a" * 100_000))
def test_any_failure_has_a_sound_classification(raw: RawFailure) -> None:
    error = CLASSIFIER.classify(raw)

    assert error.raw is raw
    assert CATALOG[error.code] is error.definition
    assert error.rule
    assert 0 <= error.confidence <= 1
    assert error.guessed or error.confidence == 1
    assert CLASSIFIER.classify(raw) == error, "the same failure means the same each time"
    if error.ambiguous:
        assert raw.operation in EFFECTFUL_OPERATIONS
        assert error.kind is FailureKind.AMBIGUOUS
        assert error.strategy is not RecoveryStrategy.RETRY_IMMEDIATE or error.proof is Proof.EXISTS
        assert error.strategy is not RecoveryStrategy.FAILOVER, "what may live at one place is never sent to another"
    elif raw.operation in EFFECTFUL_OPERATIONS:
        assert error.proof in (Proof.NOT_SENT, Proof.REFUSED), "not ambiguous without a proof"
    if not error.retryable:
        assert error.strategy not in TRYING_AGAIN
        assert error.retry_after_seconds is None
    assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds <= 86_400


@given(st.sampled_from(sorted(EFFECTFUL_OPERATIONS)), st.integers(500, 599), st.text(max_size=60), messages)
def test_a_server_that_failed_proves_nothing(operation: Operation, status: int, broker_code: str, body: str) -> None:
    assert CLASSIFIER.classify(RawFailure("http", operation, f"{status}/{broker_code}", body)).ambiguous


@given(st.sampled_from(sorted(EFFECTFUL_OPERATIONS)), st.integers(400, 428), messages)
def test_a_page_proves_nothing_unless_the_status_alone_does(operation: Operation, status: int, text: str) -> None:
    error = CLASSIFIER.classify(RawFailure("http", operation, f"{status}/-", f"<!doctype html><html>{text}</html>"))

    assert error.ambiguous or status in (407, 418, 420)


@given(st.sampled_from(sorted(EFFECTFUL_OPERATIONS)), messages)
def test_an_unknown_source_never_proves_that_nothing_was_sent(operation: Operation, text: str) -> None:
    error = CLASSIFIER.classify(RawFailure("a broker of tomorrow", operation, "E-1", text))

    assert error.guessed
    assert error.ambiguous or error.proof is Proof.REFUSED


# -- causes ----------------------------------------------------------------------------------

REFUSED = ("ConnectionRefusedError", "[Errno 111] Connection refused")
RESET = ("ConnectionResetError", "[Errno 104] Connection reset by peer")


def test_a_wrapped_cause_decides_where_the_outer_class_is_vague() -> None:
    refused = classify("requests", "submit", "ConnectionError", "it failed", causes=(REFUSED,))
    reset = classify("requests", "submit", "ConnectionError", "it failed", causes=(RESET,))
    alone = classify("requests", "submit", "ConnectionError", "it failed")

    assert (refused.code, refused.ambiguous) == ("NETWORK_CONNECT_REFUSED", False)
    assert (reset.code, reset.ambiguous) == ("NETWORK_CONNECTION_LOST", True)
    assert alone.ambiguous


def test_a_vague_cause_gives_way_to_a_clear_one_behind_it() -> None:
    error = classify("python", "submit", "Exception", causes=(("asyncio.TimeoutError", ""), ("socket.gaierror", "x")))

    assert (error.code, error.ambiguous) == ("NETWORK_DNS_FAILED", False)


def test_an_attempt_that_may_have_arrived_takes_the_proof_from_the_one_after_it() -> None:
    """Refused while the loss of a first attempt was being handled: the first one may have arrived."""
    clear = classify("httpx", "submit", "ConnectError", "[Errno 111] Connection refused")
    after = classify("httpx", "submit", "ConnectError", "[Errno 111] Connection refused", causes=(RESET,))
    query = classify("httpx", "query", "ConnectError", "[Errno 111] Connection refused", causes=(RESET,))

    assert not clear.ambiguous
    assert (after.code, after.ambiguous) == ("NETWORK_CONNECT_REFUSED", True)
    assert not query.ambiguous


def test_both_in_one_text_are_two_attempts() -> None:
    error = classify("requests", "submit", "ConnectionError", "connection refused; before: connection reset by peer")

    assert error.ambiguous


# -- rules -----------------------------------------------------------------------------------


def rule(code: str, proof: Proof = Proof.REFUSED, **more: object) -> Rule:
    return Rule("desk", Verdict(code, proof), **more)  # type: ignore[arg-type]


def test_the_first_rule_that_fits_decides() -> None:
    classifier = Classifier(
        [
            rule("BROKER_MARKET_CLOSED", raw_codes=("E1",), operations=(Operation.CANCEL,)),
            rule("BROKER_WASH_TRADE", raw_codes=("E1",), message=re.compile("wash")),
            rule("BROKER_ORDER_REJECTED", message=re.compile("no")),
            rule("BROKER_LIMIT_REACHED", raw_codes=("e1",)),
        ]
    )

    def code(operation: Operation, raw_code: str, message: str) -> str:
        return classifier.classify(RawFailure("desk", operation, raw_code, message)).code

    assert code(Operation.CANCEL, "E1", "WASH") == "BROKER_MARKET_CLOSED"
    assert code(Operation.SUBMIT, " e1 ", "WASH, no") == "BROKER_WASH_TRADE"
    assert code(Operation.SUBMIT, "E1", "no") == "BROKER_ORDER_REJECTED"
    assert code(Operation.SUBMIT, "E1", "") == "BROKER_LIMIT_REACHED"
    assert code(Operation.SUBMIT, "E2", "") == "BROKER_UNCLASSIFIED"


def test_what_a_person_confirmed_decides_before_everything_else() -> None:
    classifier = Classifier([rule("BROKER_WASH_TRADE", raw_codes=("E1",))])
    raw = RawFailure("desk", Operation.SUBMIT, "E1", "x")

    classifier.set_confirmed_rules([rule("BROKER_MARKET_CLOSED", raw_codes=("E1",))])
    confirmed = classifier.classify(raw)
    classifier.set_confirmed_rules([])

    assert (confirmed.code, confirmed.guessed) == ("BROKER_MARKET_CLOSED", False)
    assert confirmed.rule.startswith("confirmed ")
    assert classifier.classify(raw).code == "BROKER_WASH_TRADE"


def test_a_rule_of_another_source_or_with_an_unknown_code_is_refused_at_once() -> None:
    classifier = Classifier()
    with pytest.raises(ValueError, match="does not fit"):
        classifier.register("elsewhere", [rule("BROKER_WASH_TRADE")])
    with pytest.raises(ValueError, match="catalogue"):
        classifier.set_confirmed_rules([rule("BROKER_NO_SUCH_CODE")])


def test_a_broken_resolver_counts_as_not_knowing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(raw: RawFailure) -> Verdict:
        raise KeyError(raw.raw_code)

    error = Classifier(resolvers={"desk": broken}).classify(RawFailure("desk", Operation.SUBMIT, "E1"))

    assert (error.code, error.guessed, error.ambiguous) == ("BROKER_UNCLASSIFIED", True, True)
    assert "resolver" in caplog.text


def test_credentials_may_be_cured_and_the_same_order_sent_then() -> None:
    error = classify("http", "submit", "401/-", '{"message": "invalid api key"}')

    assert (error.retryable, error.kind) == (False, FailureKind.TRANSIENT)


# -- waits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"Retry-After": "3"}, "", 3),
        ({"retry-after": "2.5"}, "", 2.5),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, "", 30),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, "", None),
        ({"X-RateLimit-Reset": "1792567710", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, "", 30),
        ({"Retry-After": "-5"}, "", None),
        ({}, "Too many requests, retry after 7 seconds", 7),
        ({}, '{"retry_after": 500}', 500),
        ({}, "please wait 2 minutes", 120),
        ({"Retry-After": "999999999"}, "", 86_400),
        ({}, "", None),
    ],
)
def test_a_wait_that_is_named_is_known(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert classify("http", "submit", "429/-", message, headers=headers).retry_after_seconds == seconds
