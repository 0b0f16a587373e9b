"""Gather the records of one episode from the running stack."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from brokers.simulator.ledger import LEDGER_NAME, LedgerSummary, read_records
from config.chaos.market import untrue_bars
from config.chaos.records import BrokerCall, CircuitChange, StateChange
from config.chaos.stack import BROKERS, Stack

_CIRCUITS = """
SELECT circuit, from_state, to_state, at, is_local FROM reliability_circuittransition WHERE at > %s ORDER BY at, id
"""
_CHANGES = """
SELECT order_id::text, from_state, to_state, kind, source FROM brokers_orderevent WHERE recorded_at > %s
ORDER BY order_id, sequence
"""
# Orders marked as being sent after an instant at which a freeze that covers them was in force, and before its release.
_SENT_IN_FREEZE = """
SELECT o.id, f.id FROM brokers_freeze f
JOIN brokers_freezeevent e ON e.freeze_id = f.id AND e.kind = 'in_force'
JOIN brokers_account a ON a.id = f.account_id OR a.broker_id = f.broker_id
     OR (f.account_id IS NULL AND f.broker_id IS NULL)
JOIN brokers_order o ON o.account_id = a.id AND (f.symbol = '' OR f.symbol = o.symbol)
WHERE f.mode = 'halt' AND f.frozen_at > %s AND o.sent_at > e.recorded_at
  AND (f.released_at IS NULL OR o.sent_at < f.released_at)
"""
# A job's attempts must carry growing fences; what an older holder said later is kept as late evidence, and no write.
_OLDER_WRITES = """
SELECT job_id, fence, highest FROM (
  SELECT job_id, fence, outcome, max(fence) OVER (PARTITION BY job_id ORDER BY id) AS highest
  FROM reliability_jobattempt WHERE recorded_at > %s) attempts
WHERE fence < highest AND outcome NOT IN ('late', 'lost')
"""
_BAD_BARS = """
SELECT s.symbol || ' ' || b.opened_at FROM reconciliation_bar b JOIN reconciliation_barseries s ON s.id = b.series_id
WHERE b.high < b.low OR b.high < b.open OR b.high < b.close OR b.low > b.open OR b.low > b.close
   OR b.low <= 0 OR b.opened_at > clock_timestamp() LIMIT 20
"""
_TICKS = """
SELECT task.name, every.every, job.created_at FROM reliability_job job
JOIN django_celery_beat_periodictask task ON job.unique_key = 'scheduled:' || task.name
JOIN django_celery_beat_intervalschedule every ON every.id = task.interval_id AND every.period = 'seconds'
WHERE job.created_at > %s ORDER BY task.name, job.created_at
"""
_ERRORS = "SELECT source, code, count(*) FROM reliability_errorevent WHERE recorded_at > %s GROUP BY source, code"
_ALERTS = "SELECT condition, scope, raised_at FROM reliability_alert WHERE raised_at > %s ORDER BY raised_at"
_FILLS = """
SELECT a.name, f.execution_id, f.quantity, f.price FROM brokers_fill f JOIN brokers_account a ON a.id = f.account_id
"""
_NOT_RECOVERED = """
SELECT 'a freeze for ' || cause FROM brokers_freeze WHERE released_at IS NULL
UNION ALL SELECT 'a recovery run' FROM reconciliation_recoveryrun WHERE state = 'running'
UNION ALL SELECT 'a recovery that is wanted' FROM reconciliation_recoverytrigger WHERE run_id IS NULL
UNION ALL SELECT 'an order that is ' || state FROM brokers_order
  WHERE state IN ('accepted', 'sending', 'unknown') AND NOT id = ANY(%s)
UNION ALL SELECT circuit || ' is ' || to_state FROM (
  SELECT DISTINCT ON (circuit) circuit, to_state FROM reliability_circuittransition
  WHERE NOT is_local ORDER BY circuit, at DESC, id DESC) newest
  WHERE to_state IN ('open', 'half_open') AND circuit LIKE '%%:orders'
"""


def not_recovered(stack: Stack) -> list[str]:
    """Return what is not as it is in a quiet stack: processes, freezes, recoveries, open orders, circuits of orders."""
    found = stack.not_healthy()
    if not found:
        found = [row[0] for row in stack.query(_NOT_RECOVERED, [list(stack.abandoned)])]
    return found


def circuits(stack: Stack, since: datetime) -> list[CircuitChange]:
    return [CircuitChange(*row) for row in stack.query(_CIRCUITS, [since])]


def changes(stack: Stack, since: datetime) -> list[StateChange]:
    return [StateChange(*row) for row in stack.query(_CHANGES, [since])]


def sent_in_freeze(stack: Stack, since: datetime) -> list[str]:
    return [f"order {order} was sent during freeze {freeze}" for order, freeze in stack.query(_SENT_IN_FREEZE, [since])]


def older_writes(stack: Stack, since: datetime) -> list[str]:
    return [
        f"job {job}: an outcome of fence {fence} was written after one of {highest}"
        for job, fence, highest in stack.query(_OLDER_WRITES, [since])
    ]


def bad_bars(stack: Stack) -> list[str]:
    return [*(f"the bar {row[0]} cannot be and is used" for row in stack.query(_BAD_BARS)), *untrue_bars(stack)]


def ticks(stack: Stack, since: datetime) -> list[tuple[str, float, datetime]]:
    return [(name, float(every), at) for name, every, at in stack.query(_TICKS, [since])]


def alerts(stack: Stack, since: datetime) -> list[tuple[str, str, datetime]]:
    return [(row[0], row[1], row[2]) for row in stack.query(_ALERTS, [since])]


def errors(stack: Stack, since: datetime) -> dict[tuple[str, str], int]:
    return {(source, code): count for source, code, count in stack.query(_ERRORS, [since])}


Fills = dict[tuple[str, str], tuple[str, str]]


def fills_ours(stack: Stack) -> Fills:
    return {
        (account, execution): (_plain(quantity), _plain(price))
        for account, execution, quantity, price in stack.query(_FILLS)
    }


def fills_theirs(ledgers: Mapping[str, LedgerSummary]) -> Fills:
    return {
        (account, fill.execution_id): (_plain(fill.quantity), _plain(fill.price))
        for account, ledger in ledgers.items()
        for fill in ledger.fills
    }


def calls(stack: Stack, since: datetime) -> list[BrokerCall]:
    """Return the requests, replies and acceptances of orders in both ledgers since then, by the brokers' own clocks."""
    found = []
    for broker in BROKERS:
        path = stack.instance.directory / f"simbroker-{broker}" / LEDGER_NAME
        found += _calls_of(f"sim-{broker}", path, since.timestamp() * 1e9)
    return sorted(found, key=lambda call: call.monotonic)


def _calls_of(account: str, path: Path, since_ns: float) -> list[BrokerCall]:
    found = []
    for record in read_records(path):
        if record["wall_ns"] < since_ns or record["kind"] not in ("request", "reply", "accepted"):
            continue
        order: dict[str, Any] = record.get("order", {})
        found.append(
            BrokerCall(
                account=account,
                kind=record["kind"],
                operation=record.get("operation", ""),
                client_order_id=record.get("client_order_id") or order.get("client_order_id") or "",
                outcome=record.get("outcome", ""),
                monotonic=record["monotonic_ns"] / 1e9,
                at=datetime.fromtimestamp(record["wall_ns"] / 1e9, UTC),
                status=record.get("status"),
            )
        )
    return found


def settings_in_force(stack: Stack) -> dict[str, str]:
    """Return the settings that durability rests on, as PostgreSQL says they are."""
    names: Sequence[str] = ("fsync", "full_page_writes", "synchronous_commit", "server_version")
    return {name: str(stack.query(f"SHOW {name}")[0][0]) for name in names}


def dumped(value: Any) -> str:
    return json.dumps(value, default=str, separators=(",", ":"))


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")
