"""What a fee is taken out of: the cash, or something that is held."""

from collections.abc import Iterable
from decimal import Decimal

from brokers.core.reports import Fee


def position_charged(symbol: str, currency: str) -> str:
    """Return the symbol of the position that a fee on ``symbol`` is taken out of, empty where it is cash.

    A pair such as ``BTC/USDT`` is charged in what was bought, in what it is paid in, which is cash, or in a third
    asset, which is held as the pair that is paid in the same. Everything else is charged in cash.
    """
    base, _, quote = symbol.partition("/")
    if not quote or currency == quote:
        return ""
    return symbol if currency == base else f"{currency}/{quote}"


def summed(fees: Iterable[Fee]) -> tuple[Fee, ...]:
    """Return one fee per currency, those that come to nothing left out."""
    totals: dict[str, Decimal] = {}
    for fee in fees:
        totals[fee.currency] = totals.get(fee.currency, Decimal(0)) + fee.amount
    return tuple(Fee(amount, currency) for currency, amount in totals.items() if amount)
