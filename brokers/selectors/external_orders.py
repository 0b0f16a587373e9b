"""Reading orders that were placed elsewhere on an account."""

from collections.abc import Collection
from typing import Any

from brokers.models import ExternalOrder
from brokers.selectors.orders import plain


def list_external_orders(
    account: str = "", *, limit: int = 500, within: Collection[int] | None = None
) -> list[dict[str, Any]]:
    """Return orders placed elsewhere, newest first, as plain data, of the accounts ``within`` (ids; None: all)."""
    rows = ExternalOrder.objects.select_related("account").order_by("-id")
    if account:
        rows = rows.filter(account__name=account)
    if within is not None:
        rows = rows.filter(account__in=within)
    return [
        {
            "account": row.account.name,
            "broker_order_id": row.broker_order_id,
            "client_order_id": row.client_order_id or None,
            "symbol": row.symbol,
            "side": row.side,
            "quantity": plain(row.quantity),
            "notional": plain(row.notional),
            "limit_price": plain(row.limit_price),
            "status": row.status,
            "filled_quantity": plain(row.filled_quantity),
            "source": row.source,
            "first_seen_at": row.first_seen_at,
            "changed_at": row.changed_at,
        }
        for row in rows[:limit]
    ]
