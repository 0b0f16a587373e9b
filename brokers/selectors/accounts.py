"""Reading accounts and the state of their streams."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q

from brokers.core.orders import OrderState
from brokers.models import Account, Order, StreamSession


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account as the operator sees it."""

    id: int
    name: str
    broker: str
    adapter: str
    enabled: bool
    is_default: bool
    stream_state: str
    stream_alive_at: datetime | None
    stream_error: str
    synced_at: datetime | None
    open_orders: int
    unknown_orders: int


def list_accounts() -> list[AccountStatus]:
    """Return every account with its stream and its orders in flight."""
    sessions = {session.account_id: session for session in StreamSession.objects.all()}
    unfinished = Order.objects.filter(finished_at=None)
    counts: dict[int, dict[str, int]] = {
        row["account_id"]: {"open": row["open"], "unknown": row["unknown"]}
        for row in unfinished.values("account_id").annotate(
            open=Count("id"), unknown=Count("id", filter=Q(state=OrderState.UNKNOWN))
        )
    }
    return [
        AccountStatus(
            id=row.pk,
            name=row.name,
            broker=row.broker_id,
            adapter=row.broker.adapter,
            enabled=row.enabled,
            is_default=row.is_default,
            stream_state=sessions[row.pk].state if row.pk in sessions else "down",
            stream_alive_at=sessions[row.pk].last_alive_at if row.pk in sessions else None,
            stream_error=sessions[row.pk].last_error if row.pk in sessions else "",
            synced_at=row.synced_at,
            open_orders=counts.get(row.pk, {}).get("open", 0),
            unknown_orders=counts.get(row.pk, {}).get("unknown", 0),
        )
        for row in Account.objects.select_related("broker").order_by("name")
    ]
