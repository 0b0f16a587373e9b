"""Reading what was recorded of an order: its events with exact numbers, and the order as it was known at an instant."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from brokers.core.history import (
    COLUMNS,
    HistoryBrokenError,
    OrderValues,
    RecordedEvent,
    advance,
    as_known_at,
    changed_columns,
)

# Numbers are read from text, because JSON numbers would go through binary fractions.
EVENTS_SQL = """
SELECT coalesce(json_agg(json_build_array(sequence, kind, from_state, to_state, source, actor, evidence, broker_at,
                                          recorded_at) ORDER BY sequence), '[]')::text
FROM brokers_orderevent WHERE order_id = {order}
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One event of an order's life: what it changed, and how long the order then stayed so.

    ``changes`` holds the value before and after of each column; ``lasted`` is None for the last.
    """

    event: RecordedEvent
    changes: dict[str, tuple[Any, Any]]
    lasted: timedelta | None


@dataclass(frozen=True, slots=True)
class OrderThen:
    """An order as it was known at an instant, with the events behind it.

    ``values`` is None before its first event. ``problem`` says where the events stop making
    an order; the steps end before. ``later`` counts the events recorded after the instant.
    """

    order_id: UUID
    at: datetime | None
    values: OrderValues | None
    steps: list[Step]
    later: int
    problem: str = ""


def read_events(order_id: UUID) -> list[RecordedEvent]:
    """Return the events of an order, oldest first; empty when there are none."""
    with connection.cursor() as cursor:
        cursor.execute(EVENTS_SQL.format(order="%s"), [order_id])
        (text,) = cursor.fetchone()
    return parse_events(text)


def parse_events(text: str) -> list[RecordedEvent]:
    """Read what ``EVENTS_SQL`` gives."""
    return [_event(*row) for row in json.loads(text, parse_float=Decimal)]


def find_order_then(order_id: UUID, at: datetime | None = None) -> OrderThen | None:
    """Return the order as it was known at an instant, now without one; None if nothing was ever recorded of it."""
    events = read_events(order_id)
    if not events:
        return None
    known = events if at is None else as_known_at(events, at)
    values, problem = None, ""
    steps: list[Step] = []
    for number, event in enumerate(known):
        try:
            after = advance(values, event)
        except HistoryBrokenError as error:
            problem = str(error)
            break
        following = known[number + 1].recorded_at if number + 1 < len(known) else None
        lasted = following - event.recorded_at if following is not None else None
        steps.append(Step(event, changed_columns(values, after), lasted))
        values = after
    return OrderThen(order_id, at, values, steps, len(events) - len(known), problem)


def order_as_known_at(order_id: UUID, at: datetime | None) -> dict[str, Any] | None:
    """Return ``find_order_then`` as plain data."""
    then = find_order_then(order_id, at)
    if then is None:
        return None
    return {
        "order_id": str(order_id),
        "at": at,
        "order": {name: _plain(value) for name, value in asdict(then.values).items()} if then.values else None,
        "problem": then.problem or None,
        "events": [{**asdict(step.event), "evidence": _plain(step.event.evidence)} for step in then.steps],
        "events_recorded_later": then.later,
    }


def recorded_values(columns: Sequence[Any]) -> OrderValues:
    """Return an order's row, read in the order of ``COLUMNS``."""
    values: dict[str, Any] = dict(zip(COLUMNS, columns, strict=True))
    route = values.pop("route")
    return OrderValues(route=None if route is None else tuple(route), **values)


def _event(
    sequence: int,
    kind: str,
    from_state: str,
    to_state: str,
    source: str,
    actor: str,
    evidence: dict[str, Any],
    broker_at: str | None,
    recorded_at: str,
) -> RecordedEvent:
    at_broker = None if broker_at is None else datetime.fromisoformat(broker_at)
    at = datetime.fromisoformat(recorded_at)
    return RecordedEvent(sequence, kind, from_state, to_state, source, actor, evidence, at_broker, at)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value
