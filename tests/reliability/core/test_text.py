"""Whatever text comes from outside can be kept."""

import json

from hypothesis import given
from hypothesis import strategies as st

from reliability.core.text import storable

ANY_TEXT = st.text(st.characters(codec=None, categories=None))
ORDINARY = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=10,
)


@given(DATA)
def test_nothing_is_left_that_postgresql_cannot_keep(data: object) -> None:
    written = json.dumps(storable(data), ensure_ascii=False)
    assert "\x00" not in written
    assert "\\u0000" not in json.dumps(storable(data)).replace("\\\\", "")
    written.encode()


@given(ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert storable(text) == text


@given(st.recursive(ORDINARY, lambda inner: st.lists(inner) | st.dictionaries(ORDINARY, inner), max_leaves=10))
def test_ordinary_data_keeps_its_keys_items_and_order(data: object) -> None:
    assert storable(data) == data


def test_what_cannot_be_kept_becomes_the_replacement_character_wherever_it_is() -> None:
    assert storable({"a\x00b": ["\ud800", ("x\x00", 1, None)]}) == {"a\ufffdb": ["\ufffd", ["x\ufffd", 1, None]]}


def test_two_halves_that_belong_together_become_one_character() -> None:
    assert storable("\ud83d\ude00") == "\U0001f600"


@given(DATA)
def test_cleaning_twice_changes_nothing_more(data: object) -> None:
    assert storable(storable(data)) == storable(data)
