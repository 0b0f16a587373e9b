"""What of an order a person must hear of, as alerts: filled against the rules, or placed elsewhere."""

from decimal import Decimal
from uuid import UUID

from brokers.core.reports import FillReport, OrderReport
from brokers.services.accounts import get_profile
from reliability.core.presentation import amount_text
from reliability.services.alerting import Raising


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
