"""An order built again from its events alone.

The first event carries the terms. Evidence from the broker moves the order by the same
rules that moved it then; whatever else an event changed, it says itself, under ``set``. A
plain event without ``set`` changed exactly what its kind always changes, at the instant
it was recorded.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any
from uuid import UUID

from brokers.core.evidence import OrderFacts, merge_fill, merge_report
from brokers.core.orders import FINAL_STATES, OrderState, Side, may_move
from brokers.core.reports import OrderReport, ReportedStatus

_WIDE = Context(prec=100, rounding=ROUND_HALF_UP)
_QUANTITY_STEP = Decimal(1).scaleb(-12)
_NOTIONAL_STEP = Decimal(1).scaleb(-20)
_FILLS = ("fill", "fill_after_final")


class HistoryBrokenError(ValueError):
    """The events do not make an order: one is missing, out of place, or lacks what it must carry."""

    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(sequence, reason)
        self.sequence = sequence
        self.reason = reason

    def __str__(self) -> str:
        return f"event {self.sequence}: {self.reason}"


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One event as it is recorded. Numbers in ``evidence`` are exact: ``Decimal``, ``int`` or text."""

    sequence: int
    kind: str
    from_state: str
    to_state: str
    source: str
    actor: str
    evidence: Mapping[str, Any]
    broker_at: datetime | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class OrderValues:
    """Every column of an order that follows from its events; amounts have the scale of their columns."""

    id: UUID
    owner_id: int
    account_id: int
    route: tuple[int, ...] | None
    when_unavailable: str
    idempotency_key: str
    request_hash: str
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
    accepted_at: datetime
    submit_before: datetime
    replaces_id: UUID | None = None
    order_class: str = ""
    take_profit_price: Decimal | None = None
    stop_loss_price: Decimal | None = None
    stop_loss_limit_price: Decimal | None = None
    entry_id: UUID | None = None
    exit_role: str = ""
    state: str = OrderState.ACCEPTED.value
    version: int = 1
    broker_order_id: str = ""
    reported_status: str = ""
    reported_filled_quantity: Decimal = Decimal(0)
    filled_quantity: Decimal = Decimal(0)
    filled_notional: Decimal = Decimal(0)
    cancel_requested_at: datetime | None = None
    lookup_misses: int = 0
    absence_proven_at: datetime | None = None
    error_code: str = ""
    error_message: str = ""
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None
    finished_at: datetime | None = None
    legs_known: bool = False

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


COLUMNS = tuple(field.name for field in fields(OrderValues))

# What evidence and the event itself decide; an event never sets these.
DERIVED = frozenset(
    {"state", "version", "broker_order_id", "reported_status", "reported_filled_quantity", "filled_quantity",
     "filled_notional"}
)  # fmt: skip
_GIVEN = COLUMNS[: COLUMNS.index("state")]
_INSTANTS = frozenset(name for name in COLUMNS if name.endswith("_at") or name == "submit_before")
_AMOUNTS = frozenset(
    {"quantity", "notional", "limit_price", "stop_price", "take_profit_price", "stop_loss_price",
     "stop_loss_limit_price"}
)  # fmt: skip
# What only some orders have: an acceptance that does not name it means the usual.
_SPECIAL = {field.name: field.default for field in fields(OrderValues) if field.name in (
    "replaces_id", "order_class", "take_profit_price", "stop_loss_price", "stop_loss_limit_price", "entry_id",
    "exit_role",
)}  # fmt: skip


def fold(events: Iterable[RecordedEvent]) -> OrderValues:
    """Return the order after these events, which are its first ones in order.

    Raises:
        HistoryBrokenError: there are none, the numbers have a gap, an event starts where
            the one before did not end, or it lacks what its kind must carry.
    """
    values: OrderValues | None = None
    for event in events:
        values = advance(values, event)
    if values is None:
        raise HistoryBrokenError(1, "there is no event")
    return values


def advance(values: OrderValues | None, event: RecordedEvent) -> OrderValues:
    """Return the order after one more event; ``values`` None before its first. Raises as ``fold`` does."""
    expected = 1 if values is None else values.version + 1
    if event.sequence != expected:
        raise HistoryBrokenError(expected, f"it is missing, and event {event.sequence} follows")
    try:
        return _accepted(event) if values is None else _moved(values, event)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, HistoryBrokenError):
            raise
        raise HistoryBrokenError(event.sequence, f"a {event.kind} that cannot be read: {error!r}") from error


def as_known_at(events: Sequence[RecordedEvent], instant: datetime) -> list[RecordedEvent]:
    """Return the events that were recorded by then: the longest beginning with none recorded later."""
    known: list[RecordedEvent] = []
    for event in events:
        if event.recorded_at > instant:
            break
        known.append(event)
    return known


def differences(recorded: OrderValues, rebuilt: OrderValues) -> dict[str, tuple[Any, Any]]:
    """Return the columns that differ, each with its recorded and its rebuilt value."""
    pairs = ((name, getattr(recorded, name), getattr(rebuilt, name)) for name in COLUMNS)
    return {name: (ours, theirs) for name, ours, theirs in pairs if ours != theirs}


def changed_columns(before: OrderValues | None, after: OrderValues) -> dict[str, tuple[Any, Any]]:
    """Return what one event changed beside the version: each column's value before and after.

    Of the first event that is everything that has a value, with None before.
    """
    if before is None:
        return {name: (None, value) for name in COLUMNS if (value := getattr(after, name)) not in (None, "", 0)}
    return {name: pair for name, pair in differences(before, after).items() if name != "version"}


def add_notional(total: Decimal, quantity: Decimal, price: Decimal) -> Decimal:
    """Return a sum of notionals with one more execution, each rounded once, so that their order does not matter."""
    return _WIDE.add(total, _WIDE.quantize(_WIDE.multiply(quantity, price), _NOTIONAL_STEP))


def _accepted(event: RecordedEvent) -> OrderValues:
    if event.kind != "accepted" or event.to_state != OrderState.ACCEPTED:
        raise HistoryBrokenError(1, f"it is {event.kind}, not an acceptance")
    return OrderValues(**{name: _read(name, _given(event, name)) for name in _GIVEN})


def _given(event: RecordedEvent, name: str) -> Any:
    return event.evidence.get(name, _SPECIAL[name]) if name in _SPECIAL else event.evidence[name]


def _moved(values: OrderValues, event: RecordedEvent) -> OrderValues:
    current, target = OrderState(values.state), OrderState(event.to_state)
    if event.from_state != current:
        raise HistoryBrokenError(event.sequence, f"it starts from {event.from_state}, the order was {current}")
    if current != target and not may_move(current, target):
        raise HistoryBrokenError(event.sequence, f"no order moves from {current} to {target}")
    changes: dict[str, Any] = {"version": event.sequence, "state": target.value}
    if event.kind == "report":
        changes.update(_reported(values, event))
    elif event.kind in _FILLS:
        changes.update(_filled(values, event))
    elif event.kind == "sending":
        changes.update(sent_at=event.recorded_at, lookup_misses=0, absence_proven_at=None)
    if values.acknowledged_at is None and changes.get("broker_order_id"):
        changes["acknowledged_at"] = event.recorded_at
    if target not in FINAL_STATES:
        changes["finished_at"] = None
    elif values.finished_at is None:
        changes["finished_at"] = event.recorded_at
    changes.update(_own(event))
    return replace(values, **changes)


def _own(event: RecordedEvent) -> dict[str, Any]:
    own: Mapping[str, Any] = event.evidence.get("set", {})
    strange = own.keys() - (set(COLUMNS) - DERIVED)
    if strange:
        raise HistoryBrokenError(event.sequence, f"it sets {', '.join(sorted(strange))}")
    return {name: _read(name, value) for name, value in own.items()}


def _reported(values: OrderValues, event: RecordedEvent) -> dict[str, Any]:
    evidence = event.evidence
    report = OrderReport(
        client_order_id=values.client_order_id,
        broker_order_id=evidence["broker_order_id"],
        status=ReportedStatus(evidence["status"]),
        symbol=values.symbol,
        side=Side(values.side),
        filled_quantity=_quantity(evidence["filled_quantity"]),
    )
    return _derived(merge_report(values.facts, report), event)


def _filled(values: OrderValues, event: RecordedEvent) -> dict[str, Any]:
    quantity, price = Decimal(event.evidence["quantity"]), Decimal(event.evidence["price"])
    # What an execution did not say of its order is what the order knew already.
    merged = merge_fill(values.facts, quantity, event.evidence.get("broker_order_id", ""))
    merged = replace(merged, filled_quantity=_quantity(merged.filled_quantity))
    total = _WIDE.quantize(add_notional(values.filled_notional, quantity, price), _NOTIONAL_STEP)
    return {**_derived(merged, event), "filled_notional": total}


def _derived(facts: OrderFacts, event: RecordedEvent) -> dict[str, Any]:
    if facts.state != event.to_state:
        reason = f"its evidence makes the order {facts.state}, it says {event.to_state}"
        raise HistoryBrokenError(event.sequence, reason)
    return {
        "broker_order_id": facts.broker_order_id,
        "reported_status": facts.reported_status.value if facts.reported_status else "",
        "reported_filled_quantity": facts.reported_filled_quantity,
        "filled_quantity": facts.filled_quantity,
    }


def _read(name: str, value: Any) -> Any:
    """Return a value as its column holds it."""
    if value is None:
        return None
    if name in ("id", "replaces_id", "entry_id"):
        return UUID(str(value))
    if name in _INSTANTS:
        return datetime.fromisoformat(value)
    if name in _AMOUNTS:
        return _quantity(value)
    return tuple(value) if name == "route" else value


def _quantity(value: Any) -> Decimal:
    return _WIDE.quantize(Decimal(value), _QUANTITY_STEP)
