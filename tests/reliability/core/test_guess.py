"""Guesses: what the words of nobody's failure suggest, and how little they are allowed to prove."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.catalog import CATALOG
from reliability.core.classification import EFFECTFUL_OPERATIONS, Operation, Proof, RawFailure
from reliability.core.guess import guess
from reliability.core.wording import PHRASES


def of(text: str, raw_code: str = "E1", operation: Operation = Operation.SUBMIT) -> tuple[str, Proof, float]:
    found = guess(RawFailure("nobody", operation, raw_code, text), text.lower())
    return found.verdict.code, found.verdict.proof, found.confidence


@pytest.mark.parametrize(
    ("text", "code", "proof"),
    [
        ("Account has insufficient balance for requested action.", "BROKER_INSUFFICIENT_FUNDS", Proof.REFUSED),
        ("not enough shares to sell", "BROKER_INSUFFICIENT_POSITION", Proof.REFUSED),
        ("Market is closed", "BROKER_MARKET_CLOSED", Proof.REFUSED),
        ("Unknown symbol XYZ", "VALIDATION_UNKNOWN_SYMBOL", Proof.REFUSED),
        ("Filter failure: LOT_SIZE", "VALIDATION_INVALID_ORDER", Proof.REFUSED),
        ("clOrdID 17 already used", "BROKER_DUPLICATE_CLIENT_ORDER_ID", Proof.EXISTS),
        ("Duplicate order sent.", "BROKER_DUPLICATE_CLIENT_ORDER_ID", Proof.EXISTS),
        ("Unknown order sent.", "BROKER_ORDER_NOT_FOUND", Proof.UNPROVEN),
        ("order was already filled", "BROKER_ORDER_NOT_CANCELABLE", Proof.UNPROVEN),
        ("System is under maintenance", "BROKER_MAINTENANCE", Proof.UNPROVEN),
        ("Service temporarily unavailable", "BROKER_UNAVAILABLE", Proof.UNPROVEN),
        ("Internal Server Error", "BROKER_SERVER_ERROR", Proof.UNPROVEN),
        ("Too many requests", "RATE_LIMIT_EXCEEDED", Proof.UNPROVEN),
        ("Invalid API key", "AUTH_INVALID_CREDENTIALS", Proof.UNPROVEN),
        ("Connection refused", "NETWORK_CONNECT_REFUSED", Proof.UNPROVEN),
        ("the request timed out", "TIMEOUT_READ", Proof.UNPROVEN),
        ("HTTP 504 from upstream", "TIMEOUT_GATEWAY", Proof.UNPROVEN),
        ("the gremlins ate it", "BROKER_UNCLASSIFIED", Proof.UNPROVEN),
    ],
)
def test_words_suggest_a_code_and_prove_little(text: str, code: str, proof: Proof) -> None:
    assert of(text)[:2] == (code, proof)


@pytest.mark.parametrize(
    "text",
    [
        "<html><body>insufficient funds</body></html>",
        "insufficient funds; connection reset by peer",
        "insufficient funds (read timed out)",
        "500 insufficient funds",
    ],
)
def test_words_of_refusal_beside_a_failure_prove_nothing(text: str) -> None:
    code, proof, _ = of(text)
    assert (code, proof) == ("BROKER_INSUFFICIENT_FUNDS", Proof.UNPROVEN)


def test_what_agrees_is_more_certain_than_what_disagrees() -> None:
    alone = of("rate limit exceeded")[2]
    agreeing = of("rate limit exceeded", "TooManyRequests")[2]
    disagreeing = of("rate limit exceeded", "InsufficientFunds")[2]
    by_shape = of("", "TooManyRequests")
    nothing = of("the gremlins ate it")[2]

    assert nothing < disagreeing < alone < agreeing
    assert by_shape[0] == "RATE_LIMIT_EXCEEDED"


def test_a_failure_of_our_own_parts_is_not_the_brokers() -> None:
    assert of("the gremlins ate it", operation=Operation.CACHE)[0] == "SYSTEM_UNCLASSIFIED"


def test_every_phrase_speaks_of_a_code_of_the_catalogue() -> None:
    assert [phrase.code for phrase in PHRASES if phrase.code not in CATALOG] == []


@given(st.text(max_size=200), st.text(max_size=40), st.sampled_from(Operation))
def test_any_text_gives_a_known_code_and_a_confidence(text: str, raw_code: str, operation: Operation) -> None:
    code, proof, confidence = of(text, raw_code, operation)

    assert code in CATALOG
    assert 0 < confidence <= 0.9
    if operation in EFFECTFUL_OPERATIONS:
        assert proof is not Proof.NOT_SENT, "a guess never proves that nothing was sent"


@pytest.mark.parametrize(
    ("text", "raw_code", "confidence"),
    [
        ("the gremlins ate it", "E1", 0.1),
        ("it failed", "429", 0.4),
        ("it failed", "TooManyRequests", 0.6),
        ("rate limit exceeded", "E1", 0.7),
        ("rate limit exceeded", "TooManyRequests", 0.8),
        ("rate limit exceeded", "TooManyRequests/429", 0.9),
        ("rate limit exceeded", "InsufficientFunds", 0.6),
        ("rate limit exceeded", "InsufficientFunds/503", 0.5),
        ("<html>rate limit exceeded", "E1", 0.5),
        ("<html>it failed with 429", "E1", 0.2),
    ],
)
def test_a_confidence_is_what_its_evidence_weighs(text: str, raw_code: str, confidence: float) -> None:
    assert of(text, raw_code)[2] == confidence


@pytest.mark.parametrize(("status", "is_open"), [("500", True), ("504", True), ("429", False), ("403", False)])
def test_a_number_that_says_the_other_side_failed_outweighs_words_of_refusal(status: str, is_open: bool) -> None:
    assert of("insufficient funds", status)[1] is (Proof.UNPROVEN if is_open else Proof.REFUSED)


def test_a_number_alone_proves_nothing() -> None:
    assert of("it failed", "503", Operation.QUERY)[:2] == ("BROKER_UNAVAILABLE", Proof.UNPROVEN)
