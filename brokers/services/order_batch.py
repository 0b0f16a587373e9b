"""A batch of orders under lock: changes are decided in memory and written in three statements.

Every change of an order goes through here, so that each has its event, numbered by the
order's version, and so that fills move orders and positions in one transaction. Locks are
always taken in the same order: jobs, then orders by id, then positions.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from brokers.core.evidence import OrderFacts, fills_are_missing, merge_fill, merge_report
from brokers.core.exits import make_exits
from brokers.core.history import DERIVED, add_notional
from brokers.core.orders import FINAL_STATES, OWN_TRANSITIONS, OrderState, OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import FillReport, OrderReport, ReportedStatus
from brokers.services.fills import BookedFill, book_fills, known_fills
from brokers.services.odd_fills import freeze_overfilled
from brokers.services.order_alerts import late_fill, overfill
from brokers.services.order_legs import insert_legs
from brokers.services.order_statements import report_evidence
from reliability.core.correlation import current_correlation_id
from reliability.core.text import storable
from reliability.services.alerting import Raising, raise_alerts

_COLUMNS = (
    "id", "client_order_id", "correlation_id", "symbol", "side", "order_type", "time_in_force", "quantity", "notional",
    "limit_price", "stop_price", "extended_hours", "order_class", "take_profit_price", "stop_loss_price",
    "stop_loss_limit_price", "entry_id", "submit_before", "route", "when_unavailable", "replaces_id", "account_id",
    "state", "version", "broker_order_id", "reported_status", "reported_filled_quantity", "filled_quantity",
    "filled_notional", "cancel_requested_at", "lookup_misses", "absence_proven_at", "error_code", "error_message",
    "sent_at", "acknowledged_at", "finished_at", "legs_known",
)  # fmt: skip
_CHANGING = _COLUMNS[_COLUMNS.index("account_id") :]
# What neither evidence nor a state decides: an event says under ``set`` what it changed of these.
_OWN = tuple(name for name in _CHANGING if name not in DERIVED)
_TYPES = {
    "account_id": "bigint", "version": "int", "reported_filled_quantity": "numeric", "filled_quantity": "numeric",
    "filled_notional": "numeric", "cancel_requested_at": "timestamptz", "lookup_misses": "int",
    "absence_proven_at": "timestamptz", "sent_at": "timestamptz", "acknowledged_at": "timestamptz",
    "finished_at": "timestamptz", "legs_known": "boolean",
}  # fmt: skip

# Every name in these statements is one of the constants above; values are parameters.
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM brokers_order WHERE {{where}} ORDER BY id FOR UPDATE"  # noqa: S608
_UPDATE = f"""
UPDATE brokers_order SET {", ".join(f"{name} = new.{name}" for name in _CHANGING)}
FROM unnest(%s::uuid[], {", ".join(f"%s::{_TYPES.get(name, 'text')}[]" for name in _CHANGING)})
     AS new (id, {", ".join(_CHANGING)})
WHERE brokers_order.id = new.id
"""  # noqa: S608
_INSERT_EVENTS = """
INSERT INTO brokers_orderevent (order_id, sequence, kind, from_state, to_state, source, actor, evidence, broker_at)
SELECT * FROM unnest(%s::uuid[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::jsonb[],
                     %s::timestamptz[])
"""


@dataclass(slots=True)
class OrderRow:
    """One locked order; the attributes from ``account_id`` on may change."""

    id: UUID
    client_order_id: str
    correlation_id: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    extended_hours: bool
    order_class: str
    take_profit_price: Decimal | None
    stop_loss_price: Decimal | None
    stop_loss_limit_price: Decimal | None
    entry_id: UUID | None
    submit_before: datetime
    route: list[int] | None
    when_unavailable: str
    replaces_id: UUID | None
    account_id: int
    state: str
    version: int
    broker_order_id: str
    reported_status: str
    reported_filled_quantity: Decimal
    filled_quantity: Decimal
    filled_notional: Decimal
    cancel_requested_at: datetime | None
    lookup_misses: int
    absence_proven_at: datetime | None
    error_code: str
    error_message: str
    sent_at: datetime | None
    acknowledged_at: datetime | None
    finished_at: datetime | None
    legs_known: bool

    @property
    def facts(self) -> OrderFacts:
        return OrderFacts(
            state=OrderState(self.state),
            quantity=self.quantity,
            broker_order_id=self.broker_order_id,
            reported_status=ReportedStatus(self.reported_status) if self.reported_status else None,
            reported_filled_quantity=self.reported_filled_quantity,
            filled_quantity=self.filled_quantity,
        )

    @property
    def terms(self) -> OrderTerms:
        return OrderTerms(
            symbol=self.symbol,
            side=Side(self.side),
            order_type=OrderType(self.order_type),
            time_in_force=TimeInForce(self.time_in_force),
            quantity=self.quantity,
            notional=self.notional,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            extended_hours=self.extended_hours,
            exits=make_exits(
                self.order_class, self.take_profit_price, self.stop_loss_price, self.stop_loss_limit_price
            ),
        )


assert tuple(field.name for field in fields(OrderRow)) == _COLUMNS
_own_values = attrgetter(*_OWN)


class IllegalTransitionError(AssertionError):
    """Our own code tried a move that the lifecycle does not have."""


def cause_of(row: OrderRow) -> str:
    """Return the correlation id of who asks something of an order now, or the order's own where nobody does."""
    return current_correlation_id() or row.correlation_id


class OrderBatch:
    """Orders locked in the caller's transaction. Change them, then ``save`` once."""

    def __init__(self, rows: Iterable[OrderRow]) -> None:
        self.rows: dict[UUID, OrderRow] = {row.id: row for row in rows}
        self.now = timezone.now()
        self._by_client_id = {(row.account_id, row.client_order_id): row for row in self.rows.values()}
        self._by_broker_id = {(row.account_id, row.broker_order_id): row for row in self.rows.values()}
        self._changed: dict[UUID, OrderRow] = {}
        self._told = {row.id: _own_values(row) for row in self.rows.values()}
        self._events: list[tuple[Any, ...]] = []
        self._fills: list[BookedFill] = []
        self._telling: list[tuple[int, FillReport]] = []
        self._alerts: list[Raising] = []
        self._overfilled: dict[tuple[int, str], tuple[UUID, Decimal]] = {}
        self._legs: list[tuple[OrderRow, OrderReport, str]] = []
        self._known_fills: set[tuple[str, object]] | None = None

    @classmethod
    def lock(cls, order_ids: Sequence[UUID]) -> "OrderBatch":
        return cls(_rows("id = ANY(%s)", [list(order_ids)]))

    @classmethod
    def lock_reported(cls, account_id: int, client_ids: Sequence[str], broker_ids: Sequence[str]) -> "OrderBatch":
        """Lock the account's orders that reports speak of, by either id."""
        by_broker = "(broker_order_id <> '' AND broker_order_id = ANY(%s))"
        where = f"account_id = %s AND (client_order_id = ANY(%s) OR {by_broker})"
        return cls(_rows(where, [account_id, list(client_ids), list(broker_ids)]))

    def find(self, account_id: int, client_order_id: str, broker_order_id: str) -> OrderRow | None:
        """Return the order that evidence is about.

        A second order of the broker's under our id is not ours: ours is the one it told us of first.
        """
        row = self._by_client_id.get((account_id, client_order_id))
        if row is not None and (not broker_order_id or row.broker_order_id in ("", broker_order_id)):
            return row
        return self._by_broker_id.get((account_id, broker_order_id)) if broker_order_id else None

    # -- changes ------------------------------------------------------------------------

    def move(
        self, row: OrderRow, target: OrderState, kind: str, source: str, *, actor: str = "", **evidence: Any
    ) -> None:
        """Make one of our own transitions; raises ``IllegalTransitionError`` for any other."""
        if (OrderState(row.state), target) not in OWN_TRANSITIONS:
            raise IllegalTransitionError(f"{row.state} -> {target} of order {row.id}")
        self._event(row, kind, target, source, actor, evidence, None)

    def note(self, row: OrderRow, kind: str, source: str, *, actor: str = "", **evidence: Any) -> None:
        """Record a change that leaves the state as it is."""
        self._event(row, kind, OrderState(row.state), source, actor, evidence, None)

    def reroute(self, row: OrderRow, account_id: int, reason: str) -> None:
        """Let another account of its route take an order that no broker has: one that is accepted, never unknown."""
        if row.state != OrderState.ACCEPTED or account_id not in (row.route or ()):
            raise IllegalTransitionError(f"order {row.id} ({row.state}) cannot move to account {account_id}")
        left, row.account_id = row.account_id, account_id
        self.note(row, "rerouted", "worker", from_account=left, to_account=account_id, reason=reason)

    def report(self, row: OrderRow, report: OrderReport, source: str) -> bool:
        """Merge a report; returns whether it said anything new.

        One of another order at the broker that has our id only leaves a note: what became of that one
        says nothing about ours.
        """
        if row.broker_order_id and report.broker_order_id not in ("", row.broker_order_id):
            self.note(row, "another_order_reported", source, **report_evidence(report))
            return True
        if report.legs and row.order_class and not row.legs_known:
            row.legs_known = True
            legs = {leg.exit_role.value: leg.broker_order_id for leg in report.legs}
            self.note(row, "legs_named", source, legs=legs)
            self._legs += [(row, leg, source) for leg in report.legs]
        before, merged = row.facts, merge_report(row.facts, report)
        if merged == before:
            return False
        self._take(row, merged)
        self._event(row, "report", merged.state, source, "", report_evidence(report), report.reported_at)
        return True

    def fill(self, row: OrderRow, fill: FillReport, source: str) -> bool:
        """Book one execution unless it was booked before, and the fees it tells; returns whether it was new."""
        self.told_fees(row.account_id, fill)
        if not self._is_new(row.account_id, fill):
            return False
        late = OrderState(row.state) in FINAL_STATES and not fills_are_missing(row.facts)
        merged = merge_fill(row.facts, fill.quantity, fill.broker_order_id)
        self._take(row, merged)
        row.filled_notional = add_notional(row.filled_notional, fill.quantity, fill.price)
        self._fills.append(BookedFill(row.account_id, row.id, fill, source))
        evidence = {
            "execution_id": fill.execution_id,
            "broker_order_id": fill.broker_order_id,
            "quantity": str(fill.quantity),
            "price": str(fill.price),
            "cumulative_quantity": str(fill.cumulative_quantity) if fill.cumulative_quantity is not None else None,
        }
        if fill.fees:
            evidence["fees"] = ", ".join(f"{fee.amount} {fee.currency}" for fee in fill.fees)
        if row.quantity is not None and merged.filled_quantity > row.quantity:
            excess = merged.filled_quantity - row.quantity
            evidence["overfilled_by"] = str(excess)
            self._alerts.append(overfill(row.id, row.account_id, row.symbol, excess, fill))
            self._overfilled[row.account_id, row.symbol] = (row.id, excess)
        if late:
            self._alerts.append(late_fill(row.id, row.account_id, row.symbol, row.state, fill))
        kind = "fill_after_final" if late else "fill"
        self._event(row, kind, merged.state, source, "", evidence, fill.executed_at)
        return True

    def external_fill(self, account_id: int, fill: FillReport, source: str) -> bool:
        """Book an execution of an order that is not ours: the position is the account's."""
        self.told_fees(account_id, fill)
        if not self._is_new(account_id, fill):
            return False
        self._fills.append(BookedFill(account_id, None, fill, source))
        return True

    def told_fees(self, account_id: int, fill: FillReport) -> None:
        """Have the fees booked that an execution tells, if it is booked by then."""
        if fill.fees:
            self._telling.append((account_id, fill))

    def prefetch_fills(self, account_id: int, fills: Sequence[FillReport]) -> None:
        """Read once which of these executions are booked already."""
        self._known_fills = known_fills(account_id, fills)

    def accounts_missing_fills(self) -> set[int]:
        """Return the accounts of changed orders for which the broker reported more than was booked."""
        return {row.account_id for row in self._changed.values() if fills_are_missing(row.facts)}

    def save(self) -> None:
        """Write every change: orders, their events, fills and the positions they move, and alerts on what is odd."""
        if self._changed:
            rows = list(self._changed.values())
            assert all(self._told[row.id] == _own_values(row) for row in rows), "a change that no event tells of"
            columns = [[getattr(row, name) for row in rows] for name in _CHANGING]
            with connection.cursor() as cursor:
                cursor.execute(_UPDATE, [[row.id for row in rows], *columns])
                cursor.execute(_INSERT_EVENTS, [list(column) for column in zip(*self._events, strict=True)])
        if self._fills or self._telling:
            book_fills(self._fills, self._telling)
        if self._alerts:
            raise_alerts(self._alerts)
        for (account_id, symbol), (order_id, excess) in sorted(self._overfilled.items()):
            freeze_overfilled(account_id, symbol, order_id, excess)
        self._take_up_legs()
        self._events.clear()
        self._fills.clear()
        self._telling.clear()
        self._alerts.clear()
        self._overfilled.clear()

    def is_unbooked(self, account_id: int, fill: FillReport) -> bool:
        """Return whether this execution is not booked yet; nothing is changed."""
        if self._known_fills is None:
            self._known_fills = known_fills(account_id, [fill])
        return not (_identities(fill) & self._known_fills)

    # -- inside -------------------------------------------------------------------------

    def _take_up_legs(self) -> None:
        """Record the exits that the broker named as orders of ours; nobody else can have locked them yet."""
        if not self._legs:
            return
        taken = insert_legs([(row.id, leg, source) for row, leg, source in self._legs])
        batch = OrderBatch.lock(list(taken))
        for order_id, (leg, source) in taken.items():
            batch.report(batch.rows[order_id], leg, source)
        self._legs.clear()
        batch.save()

    def _is_new(self, account_id: int, fill: FillReport) -> bool:
        if not self.is_unbooked(account_id, fill):
            return False
        assert self._known_fills is not None
        self._known_fills |= _identities(fill)
        return True

    def _take(self, row: OrderRow, facts: OrderFacts) -> None:
        if row.acknowledged_at is None and facts.broker_order_id:
            row.acknowledged_at = self.now
        row.broker_order_id = facts.broker_order_id
        row.reported_status = facts.reported_status.value if facts.reported_status else ""
        row.reported_filled_quantity = facts.reported_filled_quantity
        row.filled_quantity = facts.filled_quantity

    def _event(
        self,
        row: OrderRow,
        kind: str,
        target: OrderState,
        source: str,
        actor: str,
        evidence: dict[str, Any],
        broker_at: datetime | None,
    ) -> None:
        row.version += 1
        if target not in FINAL_STATES:
            row.finished_at = None
        elif row.finished_at is None:
            row.finished_at = self.now
        asked_by = current_correlation_id()
        if asked_by and asked_by != row.correlation_id:
            evidence = {**evidence, "correlation_id": asked_by}
        told = json.dumps(storable({**evidence, **self._own_changes(row)}))
        self._events.append((row.id, row.version, kind, row.state, target.value, source, actor, told, broker_at))
        row.state = target.value
        self._changed[row.id] = row

    def _own_changes(self, row: OrderRow) -> dict[str, Any]:
        """Return what changed since the last event beside what evidence decides, so that events make the row again."""
        before, after = self._told[row.id], _own_values(row)
        if before == after:
            return {}
        self._told[row.id] = after
        changed = {name: new for name, old, new in zip(_OWN, before, after, strict=True) if new != old}
        return {"set": {name: v.isoformat() if isinstance(v, datetime) else v for name, v in changed.items()}}


def _identities(fill: FillReport) -> set[tuple[str, object]]:
    """The two names of one execution; see ``known_fills``."""
    identities: set[tuple[str, object]] = {("execution", fill.execution_id)}
    if fill.cumulative_quantity is not None:
        identities.add((fill.broker_order_id, fill.cumulative_quantity))
    return identities


def _rows(where: str, parameters: list[Any]) -> list[OrderRow]:
    with connection.cursor() as cursor:
        cursor.execute(_SELECT.format(where=where), parameters)
        return [OrderRow(*row) for row in cursor.fetchall()]
