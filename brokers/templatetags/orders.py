"""How pages write orders."""

from decimal import Decimal

from django import template

from brokers.models import Order
from reliability.core.presentation import amount_text

register = template.Library()


@register.filter
def terms(order: Order) -> str:
    """Return what an order asks for, in one line."""
    if order.quantity is not None:
        size = amount_text(order.quantity)
    else:
        size = f"{amount_text(order.notional or Decimal(0))} worth of"
    prices = [
        f"{name} {amount_text(price)}"
        for name, price in (("stop", order.stop_price), ("limit", order.limit_price))
        if price is not None
    ]
    exits = [
        f"{name} {amount_text(price)}"
        for name, price in (("profit", order.take_profit_price), ("loss", order.stop_loss_price))
        if price is not None
    ]
    with_exits = [f"({', '.join(exits)})"] if exits else []
    return " ".join([order.side, size, order.symbol, *(prices or [order.order_type]), *with_exits])
