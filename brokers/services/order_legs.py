"""The exits of an order as orders of their own: born when the broker names them, never sent by us.

Until then nothing of them is recorded, because only their broker knows what they are called; afterwards they
are found, filled, canceled and remembered as every order is.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from brokers.core.client_order_id import MAX_LENGTH, derive_client_order_id
from brokers.core.identifiers import uuid7
from brokers.core.orders import ExitRole, OrderType
from brokers.core.reports import OrderReport
from brokers.models import Order

_INSERT = """
WITH accepted AS (
    INSERT INTO brokers_order (id, owner_id, account_id, idempotency_key, request_hash, client_order_id, correlation_id,
        symbol, side, order_type, time_in_force, quantity, limit_price, stop_price, extended_hours,
        state, version, broker_order_id, reported_status, reported_filled_quantity, filled_quantity, filled_notional,
        lookup_misses, error_code, error_message, submit_before, when_unavailable, entry_id, exit_role)
    SELECT leg.id, entry.owner_id, entry.account_id, 'exit:' || entry.id || ':' || leg.role, entry.request_hash,
        leg.client_order_id, entry.correlation_id, entry.symbol, leg.side, leg.order_type, entry.time_in_force,
        coalesce(leg.quantity, entry.quantity), leg.limit_price, leg.stop_price, false,
        'accepted', 1, '', '', 0, 0, 0, 0, '', '', entry.submit_before, entry.when_unavailable, entry.id, leg.role
    FROM json_to_recordset(%(legs)s::json)
         AS leg (id uuid, entry_id uuid, role text, client_order_id text, side text, order_type text,
                 quantity numeric, limit_price numeric, stop_price numeric)
    JOIN brokers_order entry ON entry.id = leg.entry_id
    ORDER BY leg.id
    ON CONFLICT DO NOTHING
    RETURNING id, owner_id, account_id, idempotency_key, request_hash, client_order_id, correlation_id, symbol, side,
        order_type, time_in_force, quantity, notional, limit_price, stop_price, extended_hours, accepted_at,
        submit_before, route, when_unavailable, entry_id, exit_role
)
INSERT INTO brokers_orderevent (order_id, sequence, kind, from_state, to_state, source, actor, evidence)
SELECT accepted.id, 1, 'accepted', '', 'accepted', leg.source, '', to_jsonb(accepted)
FROM accepted JOIN json_to_recordset(%(legs)s::json) AS leg (id uuid, source text) ON leg.id = accepted.id
RETURNING order_id
"""


def insert_legs(legs: Sequence[tuple[UUID, OrderReport, str]]) -> dict[UUID, tuple[OrderReport, str]]:
    """Record exits by the id of their entry, under lock of that, and return the new ones by their own id.

    What the reports say of their states is for the caller to merge.
    """
    new = [(uuid7(), *leg) for leg in legs]
    rows = [_row(leg_id, entry_id, report, source) for leg_id, entry_id, report, source in new]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, {"legs": json.dumps(rows)})
        born = {row[0] for row in cursor.fetchall()}
    return {leg_id: (report, source) for leg_id, _, report, source in new if leg_id in born}


def waits_for_legs(account_id: int) -> bool:
    """Return whether the account has exits that nobody here knows by name, so that a strange order may be one."""
    waiting = Order.objects.filter(account_id=account_id, legs_known=False).exclude(order_class="")
    return waiting.exclude(state__in=("accepted", "refused")).filter(finished_at=None).exists() or (
        waiting.exclude(broker_order_id="").exists()
    )


def entries_without_legs(account_id: int) -> frozenset[str]:
    """Return the broker ids of orders whose exits the broker has not named yet."""
    waiting = Order.objects.filter(account_id=account_id, legs_known=False).exclude(order_class="")
    return frozenset(waiting.exclude(broker_order_id="").values_list("broker_order_id", flat=True)[:100])


def _row(leg_id: UUID, entry_id: UUID, report: OrderReport, source: str) -> dict[str, Any]:
    role = report.exit_role
    kind = OrderType.LIMIT
    if role is ExitRole.STOP_LOSS:
        kind = OrderType.STOP if report.limit_price is None else OrderType.STOP_LIMIT
    named = report.client_order_id
    return {
        "id": str(leg_id),
        "entry_id": str(entry_id),
        "role": role.value,
        "client_order_id": named if 0 < len(named) <= MAX_LENGTH else _own_name(entry_id, role),
        "side": report.side.value,
        "order_type": kind.value,
        "quantity": _text(report.quantity),
        "limit_price": _text(report.limit_price),
        "stop_price": _text(report.stop_price),
        "source": source,
    }


def _own_name(entry_id: UUID, role: ExitRole) -> str:
    return derive_client_order_id(account="", owner=str(entry_id), idempotency_key=role.value)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
