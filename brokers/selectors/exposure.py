"""What an account holds of a symbol, and what its orders may still make of that.

An order counts from the moment it is recorded until it is final, and one whose outcome is unknown
until evidence or a person decides it: no timeout takes its exposure away.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from brokers.core.exposure import Exposure, Pending, PendingKind, SymbolExposure, add_up
from brokers.core.orders import Side
from brokers.selectors.accounts import list_known
from brokers.selectors.orders import plain

# What orders may still trade. One that ended counts with the fills that its broker reported and nobody has
# booked yet. Read together with the position, in one snapshot: a fill moves its order and the position together.
_PENDING = """
    SELECT account_id, symbol, side,
           CASE WHEN finished_at IS NOT NULL THEN 'unbooked' WHEN state = 'accepted' THEN 'waiting'
                WHEN state = 'unknown' THEN 'unknown' ELSE 'open' END AS kind,
           CASE WHEN finished_at IS NULL THEN quantity - filled_quantity
                ELSE reported_filled_quantity - filled_quantity END AS quantity,
           coalesce(limit_price, stop_price) AS price, notional - filled_notional AS money, sent_at, id
    FROM brokers_order
    WHERE (finished_at IS NULL OR reported_filled_quantity > filled_quantity) AND {where}
    UNION ALL
    SELECT account_id, symbol, side, 'external', quantity - filled_quantity, limit_price, notional, NULL, NULL
    FROM brokers_externalorder WHERE status IN ('working', 'partially_filled') AND {where}
"""
_OF_ONE = f"""
WITH pending AS ({_PENDING.format(where="account_id = %(account)s AND symbol = %(symbol)s")}), sums AS (
    SELECT side, CASE WHEN bool_or(quantity IS NULL) THEN NULL ELSE sum(greatest(quantity, 0)) END AS quantity
    FROM pending WHERE kind <> 'waiting' AND (id IS NULL OR id <> ALL(%(besides)s::uuid[])) GROUP BY side
)
SELECT coalesce((SELECT quantity FROM brokers_position WHERE account_id = %(account)s AND symbol = %(symbol)s), 0),
       NOT EXISTS (SELECT 1 FROM sums WHERE side = 'buy'), (SELECT quantity FROM sums WHERE side = 'buy'),
       NOT EXISTS (SELECT 1 FROM sums WHERE side = 'sell'), (SELECT quantity FROM sums WHERE side = 'sell')
"""  # noqa: S608 - every part is one of the constants above; values are parameters
_OF_ACCOUNTS = f"""
WITH named AS (
    SELECT id, name FROM brokers_account
    WHERE (%(account)s = '' OR name = %(account)s) AND (%(within)s::bigint[] IS NULL OR id = ANY(%(within)s::bigint[]))
),
pending AS ({_PENDING.format(where="account_id IN (SELECT id FROM named)")}), sums AS (
    SELECT account_id, symbol, side, kind, count(*) AS orders,
           CASE WHEN bool_or(quantity IS NULL) THEN NULL ELSE sum(greatest(quantity, 0)) END AS quantity,
           CASE WHEN bool_or(coalesce(money, quantity * price) IS NULL) THEN NULL
                ELSE sum(greatest(coalesce(money, quantity * price), 0)) END AS notional,
           min(sent_at) AS oldest_at
    FROM pending GROUP BY account_id, symbol, side, kind
), held AS (
    SELECT account_id, symbol, quantity, average_price FROM brokers_position
    WHERE quantity <> 0 AND account_id IN (SELECT id FROM named)
)
SELECT named.id, named.name, coalesce(sums.symbol, held.symbol), coalesce(held.quantity, 0),
       coalesce(held.average_price, 0), sums.side, sums.kind, sums.orders, sums.quantity, sums.notional, sums.oldest_at
FROM sums FULL JOIN held USING (account_id, symbol) JOIN named ON named.id = account_id
WHERE %(symbol)s = '' OR coalesce(sums.symbol, held.symbol) = %(symbol)s
ORDER BY named.name, 3, sums.kind, sums.side
"""  # noqa: S608 - as above


def read_exposure(account_id: int, symbol: str, *, besides: Collection[UUID] = ()) -> Exposure:
    """Return what is recorded of one symbol on one account, without the orders ``besides`` and those not sent yet."""
    parameters: dict[str, Any] = {"account": account_id, "symbol": symbol, "besides": list(besides)}
    with connection.cursor() as cursor:
        cursor.execute(_OF_ONE, parameters)
        held, no_buys, buying, no_sells, selling = cursor.fetchone()
    return Exposure(held, Decimal(0) if no_buys else buying, Decimal(0) if no_sells else selling)


def list_exposures(
    account: str = "", symbol: str = "", *, within: Collection[int] | None = None
) -> list[SymbolExposure]:
    """Return every symbol that an account holds or has orders for, by account and symbol.

    ``within`` are the ids of the accounts that may be seen, None for all.
    """
    seen = None if within is None else list(within)
    with connection.cursor() as cursor:
        cursor.execute(_OF_ACCOUNTS, {"account": account, "symbol": symbol, "within": seen})
        rows = cursor.fetchall()
    found: dict[tuple[int, str, str, Decimal, Decimal], list[Pending]] = defaultdict(list)
    for *place, side, kind, orders, quantity, notional, oldest_at in rows:
        pending = found[tuple(place)]
        if side is not None:
            pending.append(Pending(Side(side), PendingKind(kind), orders, quantity, notional, oldest_at))
    return [
        SymbolExposure(account_id, name, symbol, held, average_price, tuple(pending))
        for (account_id, name, symbol, held, average_price), pending in found.items()
    ]


def exposure_facts(exposures: Iterable[SymbolExposure]) -> list[dict[str, Any]]:
    """Return exposures as plain data, each with how old what is known of its account is."""
    known, now = list_known(), timezone.now()
    return [{**_facts(one), **known[one.account_id].freshness(now)} for one in exposures]


def _facts(one: SymbolExposure) -> dict[str, Any]:
    unknown = [part for part in one.pending if part.kind is PendingKind.UNKNOWN]
    oldest: datetime | None = min((part.oldest_at for part in unknown if part.oldest_at is not None), default=None)
    return {
        "account": one.account,
        "symbol": one.symbol,
        "position": plain(one.held),
        "position_cost": plain(abs(one.held) * one.average_price),
        "worst_long": plain(one.worst_long),
        "worst_short": plain(one.worst_short),
        "buying": _side_facts(one, Side.BUY),
        "selling": _side_facts(one, Side.SELL),
        "unknown_orders": sum(part.orders for part in unknown),
        "oldest_unknown_at": oldest,
    }


def _side_facts(one: SymbolExposure, side: Side) -> dict[str, Any]:
    """Return what one side reserves: in all, and by the kind of order; null where nobody can say."""
    parts = [part for part in one.pending if part.side is side]
    of_kind = {part.kind: part for part in parts}
    return {
        "orders": sum(part.orders for part in parts),
        "quantity": plain(add_up(part.quantity for part in parts)),
        "notional": plain(add_up(part.notional for part in parts)),
        **{kind.value: plain(of_kind[kind].quantity) if kind in of_kind else "0" for kind in PendingKind},
    }
