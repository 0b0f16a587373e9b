"""The same intent has the same id for ever; different intents never share one."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.core.client_order_id import MAX_LENGTH, derive_client_order_id

ACCOUNTS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
OWNERS = st.integers(1, 10**6).map(str)
KEYS = st.from_regex(r"[\x21-\x7e]{1,128}", fullmatch=True)
IDENTITIES = st.tuples(ACCOUNTS, OWNERS, KEYS, st.integers(0, 20), st.integers(0, 20))
Identity = tuple[str, str, str, int, int]


def derive(identity: Identity) -> str:
    account, owner, key, leg, revision = identity
    return derive_client_order_id(account=account, owner=owner, idempotency_key=key, leg=leg, revision=revision)


@given(IDENTITIES)
def test_an_id_is_short_plain_and_always_the_same(identity: Identity) -> None:
    assert derive(identity) == derive(identity)
    assert len(derive(identity)) <= MAX_LENGTH
    assert re.fullmatch(r"st-[a-z2-7]{26}", derive(identity))


@settings(max_examples=50)
@given(st.sets(IDENTITIES, min_size=2, max_size=100))
def test_different_intents_have_different_ids(identities: set[Identity]) -> None:
    assert len({derive(identity) for identity in identities}) == len(identities)


@given(st.text("ab1", min_size=2, max_size=8), st.data())
def test_moving_a_character_from_one_part_to_the_next_gives_another_id(text: str, data: st.DataObject) -> None:
    first, second = (data.draw(st.integers(1, len(text) - 1)) for _ in range(2))
    one, other = ((text[:cut], "1", text[cut:], 0, 0) for cut in (first, second))
    assert (derive(one) == derive(other)) == (first == second)


def test_the_id_of_an_intent_does_not_change_between_releases() -> None:
    """Orders under way while a new release is deployed are looked up by this id."""
    known = derive_client_order_id(account="sim-a", owner="1", idempotency_key="demo-1")
    assert known == "st-gcq7e4fkdf2wjirnb2ajwi56mf"
