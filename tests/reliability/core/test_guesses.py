"""Which guessed failures are of one kind, which words find them again, and which rules can double an order."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.classification import Operation, Proof, RawFailure
from reliability.core.guesses import (
    LONGEST_MESSAGE,
    claims_no_effect,
    code_of,
    fingerprint,
    normalize_message,
    words_pattern,
)
from reliability.core.rule_table import text_of


def failure(**values: Any) -> RawFailure:
    facts = {
        "source": "odd_broker",
        "operation": Operation.SUBMIT,
        "raw_code": "E-77",
        "message": "order 4711 is not wanted on 2026-11-24",
    }
    return RawFailure(**{**facts, **values})


@pytest.mark.parametrize(
    ("raw_code", "code"),
    [
        ("E-77", "e-77"),
        ("ReadTimeout: 10.0.0.1 did not answer", "readtimeout"),
        ("requests.exceptions.ReadTimeout", "requests.exceptions.readtimeout"),
        ("ConnectionError(HTTPConnectionPool(host='x'))", "connectionerror"),
        ("403/40310000", "403/40310000"),
        ("403: (forbidden)", "403: (forbidden)"),
        ("(403)", "(403)"),
        ("", ""),
    ],
)
def test_the_code_of_a_failure_is_its_class_without_what_was_said(raw_code: str, code: str) -> None:
    assert code_of(failure(raw_code=raw_code)) == code


def test_ids_numbers_and_quoted_words_do_not_tell_kinds_apart() -> None:
    one = failure(message="Order 4711 of 'ACME' refused at 10:31:07, id 01900000-0000-7000-8000-000000000000")
    other = failure(message="order 99 of 'X'  refused at 23:59:59, id 0190ffff-0000-7000-8000-00000000abcd")

    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Order 4711 of 'ACME' refused at 10:31:07", "order * of * refused at *"),
        ("it is id 01900000-0000-7000-8000-000000000000", "it is id *"),
        ('Symbol "BRK B" is halted', "symbol * is halted"),
        ("see https://status.example/incidents/x for more", "see * for more"),
        ("two\n  lines\tof it", "two lines of it"),
        ("1 2 3 left", "* left"),
        ("no * * stars ** stay", "no * stars * stay"),
        ("account abcdef12-aaaa-bbbb-cccc-abcdefabcdef is closed", "account * is closed"),
        ("nul\x00 and half a pair \ud800", "nul* and half a pair *"),
        ("größe überschritten", "größe überschritten"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_words_of_a_message_are_what_does_not_vary(message: str, words: str) -> None:
    assert normalize_message(message) == words


def test_of_a_long_message_the_beginning_is_taken_and_never_ends_in_a_blank() -> None:
    assert normalize_message("ab " * 200) == ("ab " * 100).strip()
    assert normalize_message("x" * 400) == "x" * 300
    assert normalize_message("'" + "a" * 80 + "' " + "b" * 1_917 + "ccc") == "* " + "b" * 298


def test_a_quotation_is_at_most_eighty_characters_of_one_line() -> None:
    assert normalize_message("'" + "a" * 80 + "'") == "*"
    assert normalize_message("'" + "a" * 81 + "'") == "'" + "a" * 81 + "'"


@pytest.mark.parametrize(
    "change", [{"source": "x"}, {"operation": Operation.QUERY}, {"raw_code": "E78"}, {"message": "order is late"}]
)
def test_what_matters_tells_kinds_apart(change: dict[str, Any]) -> None:
    assert fingerprint(failure()) != fingerprint(failure(**change))


def test_the_fingerprint_of_a_kind_never_changes() -> None:
    """Rows of earlier releases are found by it: a new way to make it is a second version beside this one."""
    assert fingerprint(failure()) == "44f8676e8e42d2196bd783230e07c0542e525962972e6d3f79e0242a6404d265"
    assert (
        fingerprint(failure(source="half a pair \ud800"))
        == "bfb8ace00a20e132dd9c03ab7c15082069c0f74d00fcaf6450e3d3efbbe6396c"
    )


@given(st.text(max_size=800))
def test_words_made_of_a_message_find_that_message(message: str) -> None:
    words = normalize_message(message)

    assert len(words) <= LONGEST_MESSAGE
    assert "\x00" not in words
    if words.strip("* "):
        assert words_pattern(words).search(text_of(failure(message=message)))


@given(st.lists(st.text("ab*", min_size=1, max_size=6), min_size=1, max_size=12))
def test_no_words_are_slow_to_look_for(pieces: list[str]) -> None:
    words = "*".join(pieces)
    if words.strip("* "):
        assert words_pattern(words).pattern.startswith(r"\A")  # anchored and never going back: one pass
        words_pattern(words).search("ab" * 10_000)


@pytest.mark.parametrize("words", ["", " * * ", "*"])
def test_words_without_a_word_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match="at least one word"):
        words_pattern(words)


def test_words_are_no_regular_expression() -> None:
    assert not re.search(words_pattern("a.c"), "abc")
    assert words_pattern("a.c (x").search("so a.c  (x")


def test_words_are_found_in_their_order_over_lines_and_whatever_their_case() -> None:
    pattern = words_pattern("Order * is not\twanted")

    assert pattern.search("the order 12\nof today is  not wanted")
    assert not pattern.search("it is not wanted, this order")
    assert not pattern.search("order 12 is not")
    assert not pattern.search("order 12 isnot wanted")


@pytest.mark.parametrize(
    ("proof", "operations", "dangerous"),
    [
        (Proof.REFUSED, (Operation.SUBMIT,), True),
        (Proof.NOT_SENT, (Operation.QUERY, Operation.CANCEL), True),
        (Proof.NOT_SENT, (Operation.QUERY,), False),
        (Proof.REFUSED, (), True),
        (Proof.REFUSED, (Operation.QUERY,), False),
        (Proof.UNPROVEN, (Operation.SUBMIT,), False),
        (Proof.EXISTS, (), False),
    ],
)
def test_which_rules_can_double_an_order(proof: Proof, operations: tuple[Operation, ...], dangerous: bool) -> None:
    assert claims_no_effect(proof, operations) is dangerous
