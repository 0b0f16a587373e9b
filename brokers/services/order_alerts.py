"""What of an order a person must hear of, as alerts: unknown too long, filled against the rules, placed elsewhere."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from brokers.core.orders import OrderState
from brokers.core.reports import FillReport, OrderReport
from brokers.models import Order
from brokers.services.accounts import get_profile
from brokers.services.order_interventions import ORDER_KIND
from reliability.core.presentation import amount_text
from reliability.selectors.interventions import list_open_subjects
from reliability.selectors.jobs import busy_subjects, dead_subjects
from reliability.services.alerting import Raising, follow_condition
from reliability.services.interventions import Question, open_interventions, withdraw_interventions

AGED = timedelta(seconds=60)
MOST_TOLD = 500


def check_unknown_orders() -> None:
    """Raise an alert per order whose outcome only a person can find out, and per order unknown for a minute.

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
    oldest = timezone.now() - AGED
    aged = [
        _raising(row, "order.unknown_aged", "has been unknown for more than a minute")
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


def late_fill(order_id: UUID, account_id: int, symbol: str, state: str, fill: FillReport) -> Raising:
    """Return the alert on a fill that came after its order had ended, and that no report had announced."""
    account = get_profile(account_id).name
    amount = f"{amount_text(fill.quantity)} {symbol} at {amount_text(fill.price)}"
    message = f"An order on {account} was filled ({fill.side} {amount}) after it was {state}."
    return Raising("order.fill_after_final", f"order:{order_id}", message, details=_of_fill(account, symbol, fill))


def overfill(order_id: UUID, account_id: int, symbol: str, excess: Decimal, fill: FillReport) -> Raising:
    """Return the alert on a fill that takes its order beyond its quantity; it is booked all the same."""
    account = get_profile(account_id).name
    message = f"An order on {account} was filled {amount_text(excess)} {symbol} beyond its quantity ({fill.side})."
    details = {**_of_fill(account, symbol, fill), "overfilled_by": str(excess)}
    return Raising("order.overfill", f"order:{order_id}", message, details=details)


def placed_elsewhere(account_id: int, report: OrderReport) -> Raising:
    """Return the alert on an order that was not placed here; one alert per account and symbol counts them."""
    account = get_profile(account_id).name
    size = report.quantity if report.quantity is not None else report.notional
    amount = f"{amount_text(size)} {report.symbol}" if size is not None else report.symbol
    message = f"An order to {report.side} {amount} on {account} was not placed here ({report.broker_order_id})."
    details = {"account": account, "symbol": report.symbol, "broker_order_id": report.broker_order_id}
    return Raising("order.external", f"account:{account}/symbol:{report.symbol}", message, details=details)


def _of_fill(account: str, symbol: str, fill: FillReport) -> dict[str, str]:
    return {
        "account": account,
        "symbol": symbol,
        "execution_id": fill.execution_id,
        "quantity": str(fill.quantity),
        "price": str(fill.price),
    }


def _raising(order: Order, condition: str, what: str) -> Raising:
    size = order.quantity if order.quantity is not None else order.notional or Decimal(0)
    message = f"The order {order.side} {amount_text(size)} {order.symbol} on {order.account.name} {what}."
    details = {"account": order.account.name, "symbol": order.symbol, "client_order_id": order.client_order_id}
    return Raising(condition, f"order:{order.pk}", message, details=details)
