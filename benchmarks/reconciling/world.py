"""Rows and what a broker would report of them: the same for every contender, with known differences."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

POSITIONS = 10_000
_APPEND_ONLY = (
    "brokers_fill", "brokers_positionevent", "brokers_positionchange", "brokers_orderevent", "brokers_balance",
)  # fmt: skip
_PAGE = 500
_ORDERS = """
INSERT INTO brokers_order (id, owner_id, account_id, idempotency_key, request_hash, client_order_id, broker_order_id,
    correlation_id, symbol, side, order_type, time_in_force, quantity, limit_price, extended_hours, state, version,
    reported_status, reported_filled_quantity, filled_quantity, filled_notional, lookup_misses, error_code,
    error_message, accepted_at, submit_before, sent_at, acknowledged_at, finished_at)
SELECT gen_random_uuid(), %(owner)s, %(account)s, 'k' || i, '', 'st-' || i, 'B' || i, '', 'P' || i %% 10000, 'buy',
       'limit', 'gtc', 10, 100.25, false, %(state)s, 1, %(state)s, %(filled)s, %(filled)s, %(filled)s * 100, 0, '', '',
       now() - interval '1 day', now(), now() - interval '1 day', now() - interval '1 day', %(finished)s::timestamptz
FROM generate_series(%(start)s::bigint, %(end)s::bigint - 1) i
"""
_FILLS = """
INSERT INTO brokers_fill (account_id, order_id, execution_id, broker_order_id, symbol, side, quantity, price,
                          cumulative_quantity, source, executed_at)
SELECT account_id, id, 'x' || broker_order_id, broker_order_id, symbol, side, 10, 100, 10, 'stream',
       now() - interval '1 day'
FROM brokers_order WHERE filled_quantity = 10
"""
_POSITIONS = """
INSERT INTO brokers_position (account_id, symbol, quantity, average_price, realized_profit, version, changed_at)
SELECT %(account)s, 'P' || i, 10, 100, 0, 1, now() - interval '1 day' FROM generate_series(0, %(end)s - 1) i
"""


@dataclass
class World:
    """One account with ``open`` orders that a broker reports in pages, and what is wrong with them."""

    account: int
    open: int
    history: int
    pages: Path
    positions: Path
    expected: set[tuple[str, str]] = field(default_factory=set)

    @property
    def order_differences(self) -> int:
        return sum(1 for kind, _ in self.expected if kind != "position")


def make_world(url: str, folder: Path, account: int, owner: int, *, open_orders: int, history: int) -> World:
    """Write the rows, and the broker's answers as JSON pages in the form of Alpaca's.

    One order in a hundred differs: it is missing at the broker, or filled there, or there in its place is one
    that was placed elsewhere. One position in a hundred has another quantity. ``history`` orders are finished,
    each with one execution.
    """
    values = {"account": account, "owner": owner}
    with psycopg.connect(url, autocommit=True) as connection:
        for table in _APPEND_ONLY:  # which nobody empties but a benchmark, in a database of its own
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_no_truncate")
        connection.execute(
            f"TRUNCATE brokers_order, brokers_position, {', '.join(_APPEND_ONLY)}, "
            "reconciliation_discrepancy, reconciliation_reconciliationrun, reconciliation_reconciliationmark CASCADE"
        )
        connection.execute(
            _ORDERS,
            {**values, "state": "working", "filled": 0, "finished": None, "start": 0, "end": open_orders},
        )
        span = {"start": open_orders, "end": open_orders + history}
        connection.execute(_ORDERS, {**values, "state": "filled", "filled": 10, "finished": "now", **span})
        connection.execute(_FILLS)
        connection.execute(_POSITIONS, {**values, "end": POSITIONS})
        connection.execute("VACUUM ANALYZE brokers_order")
        connection.execute("VACUUM ANALYZE brokers_fill")
        connection.execute("VACUUM ANALYZE brokers_position")
    world = World(account, open_orders, history, folder / "orders.ndjson", folder / "positions.json")
    _write_orders(world)
    _write_positions(world)
    return world


def read_pages(path: Path) -> Iterator[str]:
    """Return the pages as the broker sent them, one at a time."""
    with path.open() as lines:
        yield from lines


def _write_orders(world: World) -> None:
    chance = random.Random(7)
    bad = set(chance.sample(range(world.open), world.open // 100))
    rows: list[dict[str, Any]] = []
    for number in range(world.open):
        row = _order(f"st-{number}", f"B{number}", f"P{number % 10_000}")
        if number in bad:
            kind = number % 3
            if kind == 0:
                world.expected.add(("missing_there", f"B{number}"))
                continue
            if kind == 1:
                row["filled_qty"], row["status"] = "4", "partially_filled"
                world.expected.add(("quantity", f"B{number}"))
            else:
                row = _order(f"elsewhere-{number}", f"X{number}", row["symbol"])
                world.expected |= {("missing_there", f"B{number}"), ("external", f"X{number}")}
        rows.append(row)
    chance.shuffle(rows)
    with world.pages.open("w") as out:
        for start in range(0, len(rows), _PAGE):
            out.write(json.dumps(rows[start : start + _PAGE]) + "\n")


def _order(client: str, broker: str, symbol: str) -> dict[str, Any]:
    return {
        "id": broker, "client_order_id": client, "symbol": symbol, "side": "buy", "qty": "10", "filled_qty": "0",
        "limit_price": "100.25", "status": "new", "updated_at": "2026-01-02T15:04:05.123456Z", "order_class": "",
        "filled_avg_price": None, "notional": None, "type": "limit", "time_in_force": "gtc", "asset_class": "us_equity",
    }  # fmt: skip


def _write_positions(world: World) -> None:
    rows = []
    for number in range(POSITIONS):
        quantity = "9" if number % 100 == 7 else "10"
        if quantity == "9":
            world.expected.add(("position", f"P{number}"))
        rows.append({"symbol": f"P{number}", "qty": quantity, "side": "long", "avg_entry_price": "100"})
    world.positions.write_text(json.dumps(rows))
