"""Secrets stay out of what is written down, wherever they are; everything else stays as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core import known_secrets
from reliability.core.known_secrets import forget_secrets, hide_known, remember_secrets
from reliability.core.scrubbing import HIDDEN, scrubbed, scrubbed_text
from reliability.core.text import storable

SECRET = "s3cr3tValue9876"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://stanchion:{SECRET}@127.0.0.1:5432/stanchion",
        f"redis://:{SECRET}@127.0.0.1/0 did not answer",
        f"Authorization: Bearer {SECRET}",
        f"authorization=basic {SECRET}",
        f'{{"api_secret": "{SECRET}", "symbol": "AAPL"}}',
        f"APCA-API-SECRET-KEY={SECRET}",
        f"url?api_key={SECRET}&symbol=AAPL",
        f"password = '{SECRET}'",
        f"account_number: {SECRET}",
    ],
)
def test_a_text_that_holds_a_secret_loses_it(text):
    shown = scrubbed_text(f"before {text} after")

    assert SECRET not in shown
    assert HIDDEN in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize(
    "secret", ["st_" + "0a" * 32, "PKABCDEFGHIJKLMNOPQR", "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl"]
)
def test_what_looks_like_a_key_is_hidden_wherever_it_stands(secret):
    assert secret not in scrubbed_text(f"refused for {secret}.")


names = st.sampled_from(["api_key", "API-Secret", "password", "token", "Authorization", "account_number", "set-cookie"])


@given(names, st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_a_value_named_like_a_secret_is_hidden_at_any_depth(name, value):
    assert scrubbed({"deep": [{"er": {name: value}}]}) == {"deep": [{"er": {name: HIDDEN}}]}


@pytest.mark.parametrize(
    "value",
    [
        "order 0199f8a2-1111-7abc-8def-0123456789ab of AAPL at 187.25 was refused: insufficient buying power",
        "GET /api/v1/orders?symbol=AAPL&open=true",
        "the circuit sim-a:orders opened after 5 failures",
        12.5,
        None,
        ["AAPL", {"price": "187.25"}],
    ],
)
def test_what_is_no_secret_stays(value):
    assert scrubbed(value) == value


def test_a_secret_that_was_opened_is_hidden_by_what_it_is():
    text = "no such key: 4711-Odd.Shape+"
    try:
        assert scrubbed_text(text) == storable(text) == text
        remember_secrets(["4711-Odd.Shape+", "short"])
        assert scrubbed_text(text) == storable(text) == "no such key: ***"
        assert storable({"a": [f"<{text}>"]}) == {"a": ["<no such key: ***>"]}
        assert storable("short") == "short", "what is found in innocent words is not remembered"
    finally:
        forget_secrets()


def test_of_too_many_secrets_the_newest_are_known(monkeypatch):
    monkeypatch.setattr(known_secrets, "_MOST", 2)
    try:
        remember_secrets(["first-secret", "second-secret", "third-secret"])
        assert hide_known("first-secret second-secret third-secret") == "first-secret *** ***"
    finally:
        forget_secrets()
