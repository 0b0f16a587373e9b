"""What a freeze covers, what reduces a position, and who may lift what."""

from datetime import UTC, datetime

import pytest

from brokers.core.freezes import (
    MONEY_IN_DOUBT,
    FreezeCause,
    FreezeInForce,
    FreezeMode,
    ReleaseRule,
    find_freeze,
    parse_freeze_scope,
    release_rule,
)

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


def test_every_cause_says_who_lifts_it_and_doubt_about_money_needs_two() -> None:
    assert {cause for cause in FreezeCause if release_rule(cause) is ReleaseRule.TWO_PERSONS} == MONEY_IN_DOUBT
    assert {
        FreezeCause.UNKNOWN_ORDER,
        FreezeCause.POSITION_MISMATCH,
        FreezeCause.OVERFILL,
        FreezeCause.EXTERNAL_ACTIVITY,
    } <= MONEY_IN_DOUBT
