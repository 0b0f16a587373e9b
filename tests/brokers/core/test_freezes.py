"""What a freeze covers, what reduces a position, and who may lift what."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.core.freezes import (
    MONEY_IN_DOUBT,
    Exposure,
    FreezeCause,
    FreezeInForce,
    FreezeMode,
    ReleaseRule,
    find_freeze,
    parse_freeze_scope,
    provably_reduces,
    release_rule,
)
from brokers.core.orders import Side

AMOUNTS = st.decimals(0, 1000, places=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def freeze(number: int, scope: str, mode: FreezeMode = FreezeMode.HALT) -> FreezeInForce:
    return FreezeInForce(number, parse_freeze_scope(scope), mode, FreezeCause.PERSON, "why", "ann", NOW)


@pytest.mark.parametrize("text", ["global", "broker:sim-a", "account:desk", "account:desk/symbol:BTC/USDT"])
def test_a_scope_is_called_what_it_was_read_from(text: str) -> None:
    assert str(parse_freeze_scope(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "all", "broker:", "account:a b", "global/symbol:AAPL", "broker:sim-a/symbol:AAPL", "account:desk/symbol:",
     "account:desk/symbol:aapl", "account:desk/symbol:" + "A" * 33],
)  # fmt: skip
def test_what_is_no_scope_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="write global"):
        parse_freeze_scope(text)


def test_a_symbol_is_frozen_on_its_account_alone() -> None:
    freezes = [freeze(1, "account:desk/symbol:AAPL")]

    assert find_freeze(freezes, account="desk", broker="b", symbol="AAPL") == freezes[0]
    assert find_freeze(freezes, account="desk", broker="b", symbol="MSFT") is None
    assert find_freeze(freezes, account="other", broker="b", symbol="AAPL") is None


def test_a_halt_decides_before_a_wider_reduce_only() -> None:
    wide, narrow = freeze(1, "global", FreezeMode.REDUCE_ONLY), freeze(2, "account:desk/symbol:AAPL")

    assert find_freeze([wide, narrow], account="desk", broker="b", symbol="AAPL") == narrow
    assert find_freeze([wide, narrow], account="desk", broker="b", symbol="MSFT") == wide


@given(st.decimals(-1000, 1000, places=2), AMOUNTS, AMOUNTS, st.sampled_from(Side), AMOUNTS, st.data())
def test_what_reduces_never_turns_a_position_whatever_fills(
    held: Decimal, buying: Decimal, selling: Decimal, side: Side, quantity: Decimal, data: st.DataObject
) -> None:
    """The pending orders of the same side, and the order itself, may each fill to any part."""
    if not provably_reduces(Exposure(held, buying, selling), side, quantity):
        return
    pending = buying if side is Side.BUY else selling
    filled = data.draw(st.decimals(0, pending, places=2)) + data.draw(st.decimals(0, quantity, places=2))
    after = held + filled if side is Side.BUY else held - filled

    assert abs(after) <= abs(held)
    assert after == 0 or (after > 0) == (held > 0)


@given(st.decimals("0.01", 1000, places=2), st.sampled_from(Side), AMOUNTS)
def test_an_order_as_large_as_what_is_left_of_the_position_reduces_it(held: Decimal, side: Side, more: Decimal) -> None:
    signed = -held if side is Side.BUY else held
    none, nobody_can_say = Decimal(0), None

    assert provably_reduces(Exposure(signed, none, none), side, held)
    assert not provably_reduces(Exposure(signed, none, none), side, held + Decimal("0.01") + more)
    assert not provably_reduces(Exposure(signed, nobody_can_say, nobody_can_say), side, held)
    assert not provably_reduces(Exposure(signed, none, none), side, None)
    assert not provably_reduces(Exposure(-signed, none, none), side, held)


def test_every_cause_says_who_lifts_it_and_doubt_about_money_needs_two() -> None:
    assert {cause for cause in FreezeCause if release_rule(cause) is ReleaseRule.TWO_PERSONS} == MONEY_IN_DOUBT
    assert {
        FreezeCause.UNKNOWN_ORDER,
        FreezeCause.POSITION_MISMATCH,
        FreezeCause.OVERFILL,
        FreezeCause.EXTERNAL_ACTIVITY,
    } <= MONEY_IN_DOUBT
