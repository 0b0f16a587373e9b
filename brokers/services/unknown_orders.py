"""Orders whose outcome nobody knows: asked about when only a person can find out, told of when it lasts."""

from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from brokers.core.orders import OrderState
from brokers.models import Order
from brokers.services.order_interventions import ORDER_KIND
from reliability.core.presentation import amount_text
from reliability.selectors.interventions import list_open_subjects
from reliability.selectors.jobs import busy_subjects, dead_subjects
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, follow_condition
from reliability.services.interventions import Question, open_interventions, withdraw_interventions

MOST_TOLD = 500


def check_unknown_orders() -> None:
    """Raise an alert per order whose outcome only a person can find out, and per order unknown for too long.

    At most ``MOST_TOLD`` of them, the oldest: a person cannot read more, and the screen counts them all.
    """
    unknown = Order.objects.filter(finished_at=None, state=OrderState.UNKNOWN).select_related("account")
    rows = list(unknown.order_by("id")[:MOST_TOLD])
    ids = [row.pk for row in rows]
    waiting = set(dead_subjects(ids)) - busy_subjects(ids) if rows else set()
    open_interventions(ORDER_KIND, [ask_about(row) for row in rows if row.pk in waiting])
    still = {f"order:{row.pk}" for row in rows}
    over = [one for one in list_open_subjects(ORDER_KIND) if one not in still]
    if over and len(rows) < MOST_TOLD:
        withdraw_interventions(ORDER_KIND, over, reason="its outcome is known")
    seconds = read_thresholds("order.unknown_aged")["age_seconds"]
    oldest = timezone.now() - timedelta(seconds=seconds)
    aged = [
        _raising(row, "order.unknown_aged", f"has been unknown for more than {seconds:g} seconds")
        for row in rows
        if row.sent_at is not None and row.sent_at < oldest
    ]
    follow_condition("order.unknown_aged", aged, reason="its outcome is known", prefix="order:")


def ask_about(order: Order) -> Question:
    """Return the question about an order whose outcome is unknown, with what is known."""
    size = order.quantity if order.quantity is not None else order.notional or Decimal(0)
    account = order.account.name
    evidence = {
        "account": account,
        "order": f"{order.side} {amount_text(size)} {order.symbol}",
        "client_order_id": order.client_order_id,
        "sent_at": order.sent_at.isoformat() if order.sent_at else "",
        "look-ups that found nothing": order.lookup_misses,
        "error": f"{order.error_code} {order.error_message}".strip(),
    }
    title = f"The order {order.side} {amount_text(size)} {order.symbol} on {account} waits for your decision."
    return Question(f"order:{order.pk}", title, evidence, {"account": account, "symbol": order.symbol})


def _raising(order: Order, condition: str, what: str) -> Raising:
    size = order.quantity if order.quantity is not None else order.notional or Decimal(0)
    message = f"The order {order.side} {amount_text(size)} {order.symbol} on {order.account.name} {what}."
    details = {"account": order.account.name, "symbol": order.symbol, "client_order_id": order.client_order_id}
    return Raising(condition, f"order:{order.pk}", message, details=details)
