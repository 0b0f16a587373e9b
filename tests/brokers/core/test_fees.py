"""What a fee is taken out of."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis.strategies import decimals

from brokers.core.fees import position_charged, summed
from brokers.core.positions import PositionFacts, apply_fee
from brokers.core.reports import Fee

AMOUNTS = decimals(min_value="0.000001", max_value="1000", places=6)


@pytest.mark.parametrize(
    ("symbol", "currency", "charged"),
    [
        ("BTC/USDT", "BTC", "BTC/USDT"),
        ("BTC/USDT", "USDT", ""),
        ("BTC/USDT", "BNB", "BNB/USDT"),
        ("AAPL", "USD", ""),
        ("AAPL", "EUR", ""),
    ],
)
def test_a_fee_is_taken_out_of_what_is_bought_out_of_the_cash_or_out_of_a_third_asset(symbol, currency, charged):
    assert position_charged(symbol, currency) == charged


def test_fees_in_one_currency_are_one_and_those_that_come_to_nothing_are_none():
    told = [Fee(Decimal(1), "USD"), Fee(Decimal(2), "USD"), Fee(Decimal(1), "BNB"), Fee(Decimal(-1), "BNB")]
    assert summed(told) == (Fee(Decimal(3), "USD"),)


@given(held=AMOUNTS, price=AMOUNTS, fee=AMOUNTS)
def test_a_fee_costs_what_was_paid_for_it_and_leaves_the_price_of_the_rest(held, price, fee):
    before = PositionFacts(held, price, Decimal(0))
    after = apply_fee(before, fee)

    assert after.quantity == held - fee
    assert after.realized_profit == -fee * price
    assert after.average_price == (price if after.quantity else 0)
