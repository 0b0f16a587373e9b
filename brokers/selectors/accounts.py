"""Reading accounts and the state of their streams."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q

from brokers.core.orders import OrderState
from brokers.core.streams import StreamState
from brokers.models import Account, Order, StreamSession

_WITH_STREAM_SECONDS = 15.0
_POLLED_SECONDS = 75.0  # an account at rest is polled once a minute


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
    stream_endpoint: str
    stream_standby: str
    stream_generation: int
    stream_reconnects: int
    stream_switches: int
    stream_silences: int
    stream_caught_up: bool
    stream_event_at: datetime | None
    unreachable_since: datetime | None
    stream_alive_at: datetime | None
    stream_error: str
    synced_at: datetime | None
    open_orders: int
    unknown_orders: int
    queued_orders: int
    oldest_queued_at: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
    """When an account's recorded state was last known to be the broker's, and how long that is believed."""

    at: datetime | None
    believed_seconds: float

    def freshness(self, now: datetime) -> dict[str, Any]:
        """Return how old the recorded values are, and whether they may have changed unseen since."""
        age = None if self.at is None else max(0.0, (now - self.at).total_seconds())
        return {"as_of": self.at, "age_seconds": age, "stale": age is None or age > self.believed_seconds}


def has_orders(*, account: int | None = None, broker: str | None = None) -> bool:
    """Return whether an account, or any account of a broker, ever had an order."""
    if account is not None:
        return Order.objects.filter(account=account).exists()
    return any(has_orders(account=one) for one in Account.objects.filter(broker=broker).values_list("pk", flat=True))


def count_in_doubt(broker: str) -> int:
    """Return how many orders at a broker are being sent, or were sent with an unknown outcome."""
    doubtful = [OrderState.SENDING, OrderState.UNKNOWN]
    return Order.objects.filter(account__broker=broker, finished_at=None, state__in=doubtful).count()


def list_known() -> dict[int, Known]:
    """Return what each account's recorded state is worth.

    It is known as of the last synchronization, or of the last sign of life of a stream that is up.
    """
    streams = {session.account_id: session for session in StreamSession.objects.all()}
    known = {}
    for account, synced_at in Account.objects.values_list("pk", "synced_at"):
        stream = streams.get(account)
        alive_at = stream.last_alive_at if stream is not None and stream.state == "up" else None
        at = max((moment for moment in (synced_at, alive_at) if moment is not None), default=None)
        known[account] = Known(at, _WITH_STREAM_SECONDS if stream is not None else _POLLED_SECONDS)
    return known


def list_stream_sessions() -> list[StreamSession]:
    """Return the order streams that were ever subscribed."""
    return list(StreamSession.objects.order_by("account_id"))


def list_accounts(*, within: Collection[int] | None = None) -> list[AccountStatus]:
    """Return every account, or those of ``within`` by id, with its stream and its orders in flight."""
    sessions = {session.account_id: session for session in StreamSession.objects.all()}
    unfinished = Order.objects.filter(finished_at=None)
    queued = Q(state=OrderState.ACCEPTED)
    counts = {
        row["account_id"]: row
        for row in unfinished.values("account_id").annotate(
            open=Count("id"),
            unknown=Count("id", filter=Q(state=OrderState.UNKNOWN)),
            queued=Count("id", filter=queued),
            oldest_queued_at=Min("accepted_at", filter=queued),
        )
    }
    none = StreamSession(state=StreamState.DOWN)
    return [
        _status(row, sessions.get(row.pk, none), counts.get(row.pk, {}))
        for row in Account.objects.select_related("broker").order_by("name")
        if within is None or row.pk in within
    ]


def _status(row: Account, stream: StreamSession, counts: Mapping[str, Any]) -> AccountStatus:
    return AccountStatus(
        id=row.pk,
        name=row.name,
        broker=row.broker_id,
        adapter=row.broker.adapter,
        enabled=row.enabled,
        is_default=row.is_default,
        stream_state=stream.state,
        stream_endpoint=stream.endpoint,
        stream_standby=stream.standby,
        stream_generation=stream.generation,
        stream_reconnects=stream.reconnects,
        stream_switches=stream.switches,
        stream_silences=stream.silences,
        stream_caught_up=stream.caught_up_generation >= stream.generation,
        stream_event_at=stream.last_event_at,
        unreachable_since=stream.unreachable_since,
        stream_alive_at=stream.last_alive_at,
        stream_error=stream.last_error,
        synced_at=row.synced_at,
        open_orders=counts.get("open", 0),
        unknown_orders=counts.get("unknown", 0),
        queued_orders=counts.get("queued", 0),
        oldest_queued_at=counts.get("oldest_queued_at"),
    )
