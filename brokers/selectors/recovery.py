"""Reading what a recovery has to settle on an account, and whether its books balance afterwards."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import F, Max, QuerySet

from brokers.core.freezes import FreezeCause
from brokers.core.orders import OrderState
from brokers.models import Account, Freeze, Order, OrderEvent, Position, PositionEvent, StreamSession

NEWEST_EVENTS = 2000  # of each position, so that the cost follows change and not history

NEWEST_EVENTS_READ = 200_000  # of all orders, where the last verdict is long ago
_TOUCHED = """
SELECT o.id FROM (SELECT DISTINCT order_id FROM brokers_orderevent WHERE id > %(after)s) e
JOIN brokers_order o ON o.id = e.order_id
WHERE o.account_id = %(account)s ORDER BY o.id DESC LIMIT %(limit)s
"""

# A position touched since an instant is the sum of what its events moved, event by event without a gap,
# and each event moved it by what its fill says.
_UNBALANCED = """
WITH touched AS (
    SELECT id, symbol, quantity, version FROM brokers_position
    WHERE account_id = %(account)s AND changed_at >= %(since)s
), moved AS (
    SELECT e.position_id, e.sequence, e.quantity_before, e.quantity_after,
           e.quantity_after - e.quantity_before AS by_event,
           CASE f.side WHEN 'buy' THEN f.quantity WHEN 'sell' THEN -f.quantity END AS by_fill,
           lag(e.quantity_after) OVER (PARTITION BY e.position_id ORDER BY e.sequence) AS former,
           lag(e.sequence) OVER (PARTITION BY e.position_id ORDER BY e.sequence) AS former_sequence,
           row_number() OVER (PARTITION BY e.position_id ORDER BY e.sequence DESC) AS from_last
    FROM brokers_positionevent e JOIN touched ON touched.id = e.position_id
    LEFT JOIN brokers_fill f ON f.id = e.fill_id
    WHERE e.sequence > touched.version - %(newest)s
)
SELECT symbol FROM touched LEFT JOIN moved ON moved.position_id = touched.id
GROUP BY symbol, touched.quantity, touched.version
HAVING bool_or(moved.by_fill IS NOT NULL AND moved.by_fill <> moved.by_event)
    OR bool_or(moved.former IS NOT NULL AND moved.former <> moved.quantity_before)
    OR bool_or(moved.former_sequence IS NOT NULL AND moved.former_sequence <> moved.sequence - 1)
    OR max(moved.sequence) IS DISTINCT FROM touched.version
    OR max(moved.quantity_after) FILTER (WHERE moved.from_last = 1) IS DISTINCT FROM touched.quantity
ORDER BY symbol
"""


@dataclass(frozen=True, slots=True)
class AccountName:
    """An account as other apps name it."""

    id: int
    name: str
    broker: str


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """The order stream of one account; ``generation`` counts how often it was taken up after it was down.

    A standby that takes over was subscribed all along: nothing was missed, and it does not count.
    """

    account_id: int
    state: str
    generation: int
    connected_at: datetime | None
    alive_at: datetime | None
    error: str

    @property
    def is_up(self) -> bool:
        return self.state == "up"


def list_account_names() -> list[AccountName]:
    """Return the accounts that are in use."""
    rows = Account.objects.filter(enabled=True).order_by("pk").values_list("pk", "name", "broker_id")
    return [AccountName(*row) for row in rows]


def get_account_name(account_id: int) -> AccountName:
    """Raises ``Account.DoesNotExist`` when there is no such account."""
    return AccountName(*Account.objects.values_list("pk", "name", "broker_id").get(pk=account_id))


def find_account_id(name: str) -> int | None:
    return Account.objects.filter(name=name).values_list("pk", flat=True).first()


def list_streams() -> list[StreamFacts]:
    return [_stream(row) for row in StreamSession.objects.all()]


def find_stream(account_id: int) -> StreamFacts | None:
    row = StreamSession.objects.filter(account_id=account_id).first()
    return None if row is None else _stream(row)


def accounts_of_orders(order_ids: Collection[UUID]) -> dict[UUID, int]:
    return dict(Order.objects.filter(pk__in=order_ids).values_list("pk", "account_id"))


def synced_instants() -> dict[int, datetime | None]:
    """Return when each account was last asked for everything that may have been missed."""
    return dict(Account.objects.values_list("pk", "synced_at"))


def unsettled_orders(account_id: int, before: datetime) -> list[tuple[UUID, str]]:
    """Return the orders sent before an instant whose outcome nobody knows, oldest first: id and symbol.

    One that provably never reached its broker is none of them, though it is not sent again yet.
    """
    states = (OrderState.SENDING, OrderState.UNKNOWN)
    rows = _open(account_id).filter(state__in=states, sent_at__lt=before, absence_proven_at=None).order_by("pk")
    return list(rows.values_list("pk", "symbol"))


@dataclass(frozen=True, slots=True)
class UnknownOrderFacts:
    id: UUID
    account_id: int
    symbol: str
    sent_at: datetime


MOST_UNKNOWN = 500


def list_unknown_orders() -> list[UnknownOrderFacts]:
    """Return the oldest orders whose outcome is unknown, of all accounts."""
    unknown = Order.objects.filter(finished_at=None, state=OrderState.UNKNOWN, absence_proven_at=None)
    rows = unknown.filter(sent_at__isnull=False).order_by("pk")
    found = []
    for pk, account_id, symbol, sent_at in rows.values_list("pk", "account_id", "symbol", "sent_at")[:MOST_UNKNOWN]:
        assert sent_at is not None
        found.append(UnknownOrderFacts(pk, account_id, symbol, sent_at))
    return found


def is_symbol_settled(account_id: int, symbol: str) -> bool:
    """Return whether no order for a symbol of an account is being sent or unknown."""
    states = (OrderState.SENDING, OrderState.UNKNOWN)
    return not _open(account_id).filter(symbol=symbol, state__in=states, absence_proven_at=None).exists()


_SKEWS = """
WITH told AS (
    SELECT account_id, max(executed_at - recorded_at) AS ahead FROM (
        SELECT account_id, executed_at, recorded_at FROM brokers_fill ORDER BY id DESC LIMIT 200
    ) AS newest
    WHERE recorded_at > clock_timestamp() - interval '1 minute' GROUP BY account_id
), answered AS (
    SELECT id, clock_offset FROM brokers_account WHERE clock_seen_at > clock_timestamp() - interval '10 minutes'
)
SELECT coalesce(a.id, t.account_id),
       CASE WHEN a.id IS NULL OR t.ahead > greatest(a.clock_offset, interval '0')
            THEN greatest(t.ahead, interval '0') ELSE a.clock_offset END
FROM answered a FULL JOIN told t ON t.account_id = a.id
"""


def clock_skews() -> dict[int, timedelta]:
    """Return how far each broker's clock is ahead of ours, negative where it is behind.

    Told by the dates of its answers within ten minutes, and by executions of the last minute that came from the
    future; executions from the past are late news. An account without either is left out.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SKEWS)
        return dict(cursor.fetchall())


@dataclass(frozen=True, slots=True)
class AccountSigns:
    """Since when an account is known here, and from when to when its broker refused its login, with what it said."""

    added_at: datetime
    login_refused_since: datetime | None
    login_refused_at: datetime | None
    login_refused: str


def list_account_signs() -> dict[int, AccountSigns]:
    rows = Account.objects.values_list("pk", "added_at", "login_refused_since", "login_refused_at", "login_refused")
    return {row[0]: AccountSigns(*row[1:]) for row in rows}


def last_releases(cause: FreezeCause) -> dict[int, datetime]:
    """Return when a freeze of a whole account for a cause was last released, by account."""
    rows = Freeze.objects.filter(cause=cause, released_at__isnull=False, account__isnull=False).order_by()
    return {account: at for account, at in rows.values_list("account_id").annotate(last=Max("released_at")) if at}


def has_orders(account_id: int) -> bool:
    """Return whether anything was ever asked of an account."""
    return Order.objects.filter(account_id=account_id).exists()


def count_open_orders(account_id: int) -> int:
    return _open(account_id).count()


def orders_missing_fills(account_id: int) -> list[tuple[UUID, str]]:
    """Return the orders for which the broker reported more than was booked: id and symbol."""
    rows = Order.objects.filter(account_id=account_id, reported_filled_quantity__gt=F("filled_quantity"))
    return list(rows.order_by("pk").values_list("pk", "symbol"))


def newest_order_event_id() -> int:
    """Return the number of the newest event of all orders, 0 without any."""
    return OrderEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0


def orders_touched_since(account_id: int, event_id: int, limit: int) -> list[UUID]:
    """Return open orders and those to which something happened behind an event, the newest first.

    Events are read back to ``NEWEST_EVENTS_READ`` before the newest of all accounts, orders up to ``limit``.
    """
    open_ids = list(_open(account_id).order_by("-pk").values_list("pk", flat=True)[:limit])
    after = max(event_id, newest_order_event_id() - NEWEST_EVENTS_READ)
    with connection.cursor() as cursor:
        cursor.execute(_TOUCHED, {"account": account_id, "after": after, "limit": limit})
        touched = [row[0] for row in cursor.fetchall()]
    return list(dict.fromkeys([*open_ids, *touched]))[:limit]


def position_quantities(account_id: int) -> dict[str, Decimal]:
    return dict(Position.objects.filter(account_id=account_id).exclude(quantity=0).values_list("symbol", "quantity"))


def quantities_since(account_id: int, symbols: Collection[str], since: datetime) -> dict[str, set[Decimal]]:
    """Return every quantity that these positions have had since an instant, as far as events tell."""
    events = PositionEvent.objects.filter(
        position__account_id=account_id,
        position__symbol__in=symbols,
        sequence__gt=F("position__version") - NEWEST_EVENTS,
        recorded_at__gte=since,
    )
    found: dict[str, set[Decimal]] = {symbol: set() for symbol in symbols}
    for symbol, before, after in events.values_list("position__symbol", "quantity_before", "quantity_after"):
        found[symbol] |= {before, after}
    return found


def unbalanced_positions(account_id: int, since: datetime) -> list[str]:
    """Return the symbols touched since an instant whose position is not what its events and their fills make it."""
    with connection.cursor() as cursor:
        cursor.execute(_UNBALANCED, {"account": account_id, "since": since, "newest": NEWEST_EVENTS})
        return [row[0] for row in cursor.fetchall()]


def _open(account_id: int) -> QuerySet[Order]:
    return Order.objects.filter(account_id=account_id, finished_at=None)


def _stream(row: StreamSession) -> StreamFacts:
    taken_up = row.generation - row.switches
    return StreamFacts(row.account_id, row.state, taken_up, row.connected_at, row.last_alive_at, row.last_error)
