"""Secrets in nested data, in texts, and under names of every spelling; what is no secret stays as it is."""

import pytest

from reliability.core.scrubbing import HIDDEN, is_secret_name, scrubbed, scrubbed_text


@pytest.mark.parametrize(
    "name", ["api-key", "APCA-API-KEY-ID", "api_key", "apikey", "X-Api-Key", "Account-Number", "Set-Cookie", "TOKEN"]
)
def test_names_of_every_spelling(name: str) -> None:
    assert is_secret_name(name)
    assert scrubbed({name: "x"}) == {name: HIDDEN}


@pytest.mark.parametrize("name", ["key", "symbol", "account", "apple", "number"])
def test_other_names_are_shown(name: str) -> None:
    assert not is_secret_name(name)
    assert scrubbed({name: "x"}) == {name: "x"}


def test_texts_inside_data_are_looked_at_too() -> None:
    data = {"detail": ["login with Bearer abcdefghijkl failed", ("x", {"url": "https://me:pass@host/"})], "number": 3}

    assert scrubbed(data) == {
        "detail": [f"login with Bearer {HIDDEN} failed", ["x", {"url": f"https://{HIDDEN}@host/"}]],
        "number": 3,
    }
    assert scrubbed(None) is None


def test_of_a_named_value_the_name_stays_and_the_rest_of_the_text_too() -> None:
    text = 'sent {"api_key": "swordfish", "symbol": "AAPL"} and secret=hunter22; done'

    assert scrubbed_text(text) == f'sent {{"api_key": "{HIDDEN}", "symbol": "AAPL"}} and secret={HIDDEN}; done'
