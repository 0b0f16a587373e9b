"""Orders that wait for a person, or have been unknown for too long, as alerts."""

from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from brokers.core.orders import OrderState
from brokers.models import Order
from reliability.core.presentation import amount_text
from reliability.selectors.jobs import dead_subjects
from reliability.services.alerting import Raising, follow_condition

AGED = timedelta(seconds=60)
MOST_TOLD = 500


def check_unknown_orders() -> None:
    """Raise an alert per order whose outcome only a person can find out, and per order unknown for a minute.

    At most ``MOST_TOLD`` of them, the oldest: a person cannot read more, and the screen counts them all.
    """
    unknown = Order.objects.filter(finished_at=None, state=OrderState.UNKNOWN).select_related("account")
    rows = list(unknown.order_by("id")[:MOST_TOLD])
    dead = dead_subjects([row.pk for row in rows]) if rows else {}
    waiting = [_raising(row, "intervention.needed", "waits for your decision") for row in rows if row.pk in dead]
    oldest = timezone.now() - AGED
    aged = [
        _raising(row, "order.unknown_aged", "has been unknown for more than a minute")
        for row in rows
        if row.sent_at is not None and row.sent_at < oldest
    ]
    follow_condition("intervention.needed", waiting, reason="its outcome is known", prefix="order:")
    follow_condition("order.unknown_aged", aged, reason="its outcome is known", prefix="order:")


def _raising(order: Order, condition: str, what: str) -> Raising:
    size = order.quantity if order.quantity is not None else order.notional or Decimal(0)
    message = f"The order {order.side} {amount_text(size)} {order.symbol} on {order.account.name} {what}."
    details = {"account": order.account.name, "symbol": order.symbol, "client_order_id": order.client_order_id}
    return Raising(condition, f"order:{order.pk}", message, details=details)
