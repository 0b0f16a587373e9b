"""Booking executions and their fees: each once, and together with the positions they move."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from brokers.core.fees import position_charged, summed
from brokers.core.orders import Side
from brokers.core.positions import PositionFacts, apply_fee, apply_fill
from brokers.core.reports import FillReport
from brokers.models import Fill, FillFee, Position, PositionEvent

EXTERNAL_FILLS_CLASS = 0x5346  # the first key of the locks on fills without an order; the second is the account
_INSERT_FEES = """
INSERT INTO brokers_fillfee (account_id, fill_id, currency, amount, symbol)
SELECT fill.account_id, fill.id, told.currency, told.amount, told.symbol
FROM json_to_recordset(%s::json)
     AS told (account_id bigint, execution_id text, currency text, amount numeric, symbol text)
JOIN brokers_fill fill ON fill.account_id = told.account_id AND fill.execution_id = told.execution_id
ORDER BY fill.id, told.currency
ON CONFLICT (fill_id, currency) DO NOTHING
RETURNING id, account_id, fill_id, currency, amount, symbol
"""
_MOVE_POSITIONS = """
UPDATE brokers_position position
SET quantity = moved.quantity, average_price = moved.average_price, realized_profit = moved.realized_profit,
    version = moved.version, changed_at = %s
FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::numeric[], %s::int[])
     AS moved (id, quantity, average_price, realized_profit, version)
WHERE position.id = moved.id
"""


@dataclass(frozen=True, slots=True)
class BookedFill:
    """One execution to book; ``order_id`` None where the order was placed elsewhere."""

    account_id: int
    order_id: UUID | None
    fill: FillReport
    source: str


def known_fills(account_id: int, fills: Sequence[FillReport]) -> set[tuple[str, object]]:
    """Return the identities of those executions that are booked already.

    An execution has two: ``("execution", execution_id)`` and ``(broker_order_id,
    cumulative quantity)``, because a stream and an activity list need not share ids.
    """
    if not fills:
        return set()
    match = Q(execution_id__in=[fill.execution_id for fill in fills]) | Q(
        broker_order_id__in=[fill.broker_order_id for fill in fills]
    )
    known: set[tuple[str, object]] = set()
    rows = Fill.objects.filter(match, account_id=account_id)
    for execution_id, broker_order_id, cumulative in rows.values_list(
        "execution_id", "broker_order_id", "cumulative_quantity"
    ):
        known.add(("execution", execution_id))
        if cumulative is not None:
            known.add((broker_order_id, cumulative))
    return known


def lock_external_fills(account_id: int) -> None:
    """Let one transaction at a time book fills of orders that are not ours: there is no order of ours to lock.

    It is taken after orders and before positions; ``known_fills`` is to be read afterwards.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [EXTERNAL_FILLS_CLASS, account_id])


def book_fills(booked: Sequence[BookedFill], telling: Sequence[tuple[int, FillReport]] = ()) -> None:
    """Insert executions and fees and move their positions, in the caller's transaction.

    The caller made sure that no execution is booked yet, under the lock of its order; the unique
    constraints are the last net.

    Args:
        telling: Executions that tell fees, by account: of those to be booked and of any booked before. A fee
            that was told already is left as it is.
    """
    rows = Fill.objects.bulk_create(
        Fill(
            account_id=item.account_id,
            order_id=item.order_id,
            execution_id=item.fill.execution_id,
            broker_order_id=item.fill.broker_order_id,
            symbol=item.fill.symbol,
            side=item.fill.side.value,
            quantity=item.fill.quantity,
            price=item.fill.price,
            cumulative_quantity=item.fill.cumulative_quantity,
            source=item.source,
            executed_at=item.fill.executed_at,
        )
        for item in booked
    )
    by_position: dict[tuple[int, str], list[Fill | FillFee]] = defaultdict(list)
    for row in rows:
        by_position[row.account_id, row.symbol].append(row)
    for fee in _insert_fees(telling):
        if fee.symbol:
            by_position[fee.account_id, fee.symbol].append(fee)
    if by_position:
        _move_positions(by_position)


def book_told_fees(account_id: int, fills: Sequence[FillReport]) -> None:
    """Book the fees that executions booked before tell, in the caller's transaction."""
    telling = [(account_id, fill) for fill in fills if fill.fees]
    if telling:
        book_fills([], telling)


def _insert_fees(telling: Sequence[tuple[int, FillReport]]) -> list[FillFee]:
    """Insert the fees of booked executions, and return those that were not told before."""
    told: list[dict[str, Any]] = [
        {
            "account_id": account_id,
            "execution_id": fill.execution_id,
            "currency": fee.currency,
            "amount": str(fee.amount),
            "symbol": position_charged(fill.symbol, fee.currency),
        }
        for account_id, fill in telling
        for fee in summed(fill.fees)
    ]
    if not told:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_FEES, [json.dumps(told)])
        names = ("id", "account_id", "fill_id", "currency", "amount", "symbol")
        return [FillFee(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def _move_positions(by_position: dict[tuple[int, str], list[Fill | FillFee]]) -> None:
    keys = sorted(by_position)
    Position.objects.bulk_create(
        [Position(account_id=account, symbol=symbol) for account, symbol in keys], ignore_conflicts=True
    )
    match = Q()
    for account, symbol in keys:
        match |= Q(account_id=account, symbol=symbol)
    positions = list(Position.objects.select_for_update().filter(match).order_by("account_id", "symbol"))
    events: list[PositionEvent] = []
    for position in positions:
        for cause in by_position[position.account_id, position.symbol]:
            events.append(_move(position, cause))
    moved = [(one.pk, one.quantity, one.average_price, one.realized_profit, one.version) for one in positions]
    with connection.cursor() as cursor:  # one plain statement: bulk_update spends longer on its CASEs than all the rest
        cursor.execute(_MOVE_POSITIONS, [timezone.now(), *map(list, zip(*moved, strict=True))])
    PositionEvent.objects.bulk_create(events)


def _move(position: Position, cause: Fill | FillFee) -> PositionEvent:
    before = PositionFacts(
        Decimal(position.quantity), Decimal(position.average_price), Decimal(position.realized_profit)
    )
    if isinstance(cause, FillFee):
        after = apply_fee(before, cause.amount)
    else:
        after = apply_fill(before, Side(cause.side), cause.quantity, cause.price)
    position.quantity, position.average_price = after.quantity, after.average_price
    position.realized_profit = after.realized_profit
    position.version += 1
    return PositionEvent(
        position=position,
        sequence=position.version,
        fill=cause if isinstance(cause, Fill) else None,
        fee=cause if isinstance(cause, FillFee) else None,
        quantity_before=before.quantity,
        quantity_after=after.quantity,
        average_price_after=after.average_price,
        realized_profit=after.realized_profit,
    )
