"""What the words of brokers tell, and which of them is believed first."""

import pytest

from reliability.core.classification import Proof
from reliability.core.wording import PHRASES, find_phrase, leaves_open, tells_of_duplicate


@pytest.mark.parametrize(
    ("text", "code", "proof"),
    [
        ("client order id must be unique", "BROKER_DUPLICATE_CLIENT_ORDER_ID", Proof.EXISTS),
        ("no such order", "BROKER_ORDER_NOT_FOUND", Proof.UNPROVEN),
        ("order is already filled; insufficient funds", "BROKER_ORDER_NOT_CANCELABLE", Proof.UNPROVEN),
        ("system is busy", "BROKER_OVERLOADED", Proof.UNPROVEN),
        ("insufficient funds while something went wrong", "BROKER_INSUFFICIENT_FUNDS", Proof.REFUSED),
    ],
)
def test_the_first_phrase_counts_and_what_is_open_stands_above_a_refusal(text: str, code: str, proof: Proof) -> None:
    phrase = find_phrase(text)
    assert phrase is not None
    assert (phrase.code, phrase.proof) == (code, proof)


def test_words_without_a_meaning_have_none() -> None:
    assert find_phrase("lorem ipsum") is None
    assert all(phrase.pattern.search("") is None for phrase in PHRASES)


def test_only_what_is_there_already_tells_of_a_duplicate() -> None:
    assert tells_of_duplicate("duplicate order")
    assert not tells_of_duplicate("no such order")
    assert not tells_of_duplicate("insufficient funds")


def test_an_answer_that_calls_its_outcome_unknown_leaves_it_open() -> None:
    assert leaves_open("order status is unknown")
    assert not leaves_open("insufficient funds")
