"""The two moves nearly every order makes, each as one statement for a whole batch.

They do what ``OrderBatch`` would do, for the plain case only: an accepted order that is
sent, and a sent one that the broker acknowledges with nothing filled yet. Orders they
leave out, for whatever reason, go the general way. A test holds them against it.

Their instants are the statement's, which is also when their events are recorded: such an
event tells everything without saying more.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from brokers.core.exits import make_exits
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import OrderReport, ReportedStatus
from brokers.selectors.freezes import FROZEN_ACCOUNTS, FROZEN_SYMBOLS
from brokers.selectors.kill_switch import HALTED_ACCOUNTS
from reliability.services.prepared import fetch_prepared

# Which orders may be marked as being sent without any further question.
SENDABLE = f"""
    o.state = 'accepted' AND o.submit_before > clock_timestamp() AND o.cancel_requested_at IS NULL
    AND o.account_id <> ALL(%(narrow)s::bigint[]) AND o.account_id <> ALL({HALTED_ACCOUNTS})
    AND o.account_id <> ALL({FROZEN_ACCOUNTS}) AND o.account_id || '/' || o.symbol <> ALL({FROZEN_SYMBOLS})
"""
_SENT = (
    "id", "account_id", "client_order_id", "correlation_id", "symbol", "side", "order_type", "time_in_force",
    "quantity", "notional", "limit_price", "stop_price", "extended_hours", "order_class", "take_profit_price",
    "stop_loss_price", "stop_loss_limit_price",
)  # fmt: skip


def send_chosen(*kept: str) -> str:
    """Return SQL that marks the orders of ``chosen`` (id, evidence) as being sent, with their events, as ``sent``.

    ``kept`` are further columns of ``chosen`` that ``sent`` is to have.
    """
    return f"""
    sent AS (
        UPDATE brokers_order o
        SET state = 'sending', version = o.version + 1, sent_at = statement_timestamp(), lookup_misses = 0,
            absence_proven_at = NULL
        FROM chosen WHERE o.id = chosen.id
        RETURNING o.version, chosen.evidence, {", ".join(f"chosen.{name}" for name in kept)}{", " if kept else ""}
            {sent_columns("o")}
    ), noted AS (
        INSERT INTO brokers_orderevent (order_id, sequence, kind, from_state, to_state, source, actor, evidence)
        SELECT id, version, 'sending', 'accepted', 'sending', 'worker', '', evidence FROM sent
    )
    """  # noqa: S608  # names of our own code


def sent_columns(source: str) -> str:
    """Return SQL that lists what ``sending_order`` takes, out of ``source``."""
    return ", ".join(f"{source}.{name}" for name in _SENT)


_MARK_SENDING = f"""
WITH chosen AS MATERIALIZED (
    SELECT o.id, job.evidence FROM brokers_order o
    JOIN json_to_recordset(%(orders)s::json) AS job (id uuid, evidence jsonb) ON job.id = o.id
    WHERE {SENDABLE}
    ORDER BY o.id FOR UPDATE OF o
), {send_chosen()}
SELECT {sent_columns("sent")} FROM sent
"""  # noqa: S608  # constants of our own

# Which orders a plain acknowledgement is recorded of.
UNANSWERED = "o.state = 'sending' AND o.reported_status = '' AND o.broker_order_id = ''"
# What records the replies of ``chosen`` (id, broker_order_id, reported_at, evidence), with their events.
ACKNOWLEDGE_CHOSEN = """
known AS (
    UPDATE brokers_order o
    SET state = 'working', version = o.version + 1, reported_status = 'working',
        broker_order_id = chosen.broker_order_id, acknowledged_at = statement_timestamp()
    FROM chosen WHERE o.id = chosen.id
    RETURNING o.id, o.version, chosen.reported_at, chosen.evidence
), noted AS (
    INSERT INTO brokers_orderevent
        (order_id, sequence, kind, from_state, to_state, source, actor, evidence, broker_at)
    SELECT id, version, 'report', 'sending', 'working', 'reply', '', evidence, reported_at FROM known
)
"""
_RECORD_ACKNOWLEDGED = f"""
WITH chosen AS MATERIALIZED (
    SELECT o.id, reply.broker_order_id, reply.reported_at, reply.evidence FROM brokers_order o
    JOIN json_to_recordset(%s::json)
         AS reply (id uuid, broker_order_id text, reported_at timestamptz, evidence jsonb) ON reply.id = o.id
    WHERE {UNANSWERED}
    ORDER BY o.id FOR UPDATE OF o
), {ACKNOWLEDGE_CHOSEN}
SELECT id FROM known
"""  # noqa: S608  # constants of our own


@dataclass(frozen=True, slots=True)
class SendingOrder:
    """What a call needs of an order that was just marked as being sent."""

    id: UUID
    account_id: int
    client_order_id: str
    correlation_id: str
    terms: OrderTerms


def mark_sending(
    evidence: Mapping[UUID, Mapping[str, Any]], *, narrow: Collection[int] = ()
) -> dict[UUID, SendingOrder]:
    """Mark those of these orders that are accepted, in time and wanted as being sent, and return them.

    Orders of ``narrow`` accounts, which cannot take all of them at once, are left out, and so are those
    that a kill switch or any freeze covers: whether a freeze lets one through is decided under its lock.
    """
    rows = [{"id": str(order_id), "evidence": facts} for order_id, facts in evidence.items()]
    parameters = {"orders": json.dumps(rows), "narrow": list(narrow)}
    return {row[0]: sending_order(row) for row in fetch_prepared(_MARK_SENDING, parameters)}


def sending_order(row: tuple[Any, ...]) -> SendingOrder:
    """Make an order of what ``sent_columns`` lists."""
    order_id, account_id, client_order_id, correlation_id, *terms = row
    return SendingOrder(order_id, account_id, client_order_id, correlation_id, _terms(*terms))


def is_plain_acknowledgement(report: OrderReport) -> bool:
    """Return whether a reply says no more than that the order works, with nothing filled and no exits."""
    is_working = report.status is ReportedStatus.WORKING and not report.filled_quantity
    return is_working and not report.legs and bool(report.broker_order_id)


def record_acknowledged(replies: Sequence[tuple[UUID, OrderReport]]) -> set[UUID]:
    """Record plain acknowledgements of orders still being sent; returns the orders recorded."""
    if not replies:
        return set()
    rows = [reply_row(order_id, report) for order_id, report in replies]
    return {row[0] for row in fetch_prepared(_RECORD_ACKNOWLEDGED, [json.dumps(rows)])}


def reply_row(order_id: UUID, report: OrderReport) -> dict[str, Any]:
    """Return a reply as the statements read it."""
    return {
        "id": str(order_id),
        "broker_order_id": report.broker_order_id,
        "reported_at": _text(report.reported_at),
        "evidence": report_evidence(report),
    }


def report_evidence(report: OrderReport) -> dict[str, Any]:
    """Return the part of a report that its event keeps."""
    return {
        "status": report.status.value,
        "broker_order_id": report.broker_order_id,
        "filled_quantity": str(report.filled_quantity),
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _terms(
    symbol: str,
    side: str,
    order_type: str,
    time_in_force: str,
    quantity: Decimal | None,
    notional: Decimal | None,
    limit_price: Decimal | None,
    stop_price: Decimal | None,
    extended_hours: bool,
    *exits: Any,
) -> OrderTerms:
    return OrderTerms(
        symbol,
        Side(side),
        OrderType(order_type),
        TimeInForce(time_in_force),
        quantity,
        notional,
        limit_price,
        stop_price,
        extended_hours,
        make_exits(*exits),
    )
