"""Booking executions: each once, and together with the position it moves."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from brokers.core.orders import Side
from brokers.core.positions import PositionFacts, apply_fill
from brokers.core.reports import FillReport
from brokers.models import Fill, Position, PositionEvent

EXTERNAL_FILLS_CLASS = 0x5346  # the first key of the locks on fills without an order; the second is the account


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


def book_fills(booked: Sequence[BookedFill]) -> None:
    """Insert executions and move their positions, in the caller's transaction.

    The caller made sure that none is booked yet, under the lock of its order; the unique
    constraints are the last net.
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
    by_position: dict[tuple[int, str], list[Fill]] = defaultdict(list)
    for row in rows:
        by_position[row.account_id, row.symbol].append(row)
    _move_positions(by_position)


def _move_positions(by_position: dict[tuple[int, str], list[Fill]]) -> None:
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
        for fill in by_position[position.account_id, position.symbol]:
            events.append(_move(position, fill))
    Position.objects.bulk_update(positions, ["quantity", "average_price", "realized_profit", "version", "changed_at"])
    PositionEvent.objects.bulk_create(events)


def _move(position: Position, fill: Fill) -> PositionEvent:
    before = PositionFacts(
        Decimal(position.quantity), Decimal(position.average_price), Decimal(position.realized_profit)
    )
    after = apply_fill(before, Side(fill.side), fill.quantity, fill.price)
    position.quantity, position.average_price = after.quantity, after.average_price
    position.realized_profit = after.realized_profit
    position.version += 1
    position.changed_at = timezone.now()
    return PositionEvent(
        position=position,
        sequence=position.version,
        fill=fill,
        quantity_before=before.quantity,
        quantity_after=after.quantity,
        average_price_after=after.average_price,
        realized_profit=after.realized_profit,
    )
