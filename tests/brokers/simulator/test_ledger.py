"""The ledger reader, the judge of what a client did."""

import json
from decimal import Decimal

import pytest

from brokers.simulator.ledger import LedgerError, read_ledger

ORDER = {
    "id": "o1",
    "client_order_id": "c1",
    "symbol": "AAPL",
    "side": "sell",
    "quantity": "5",
    "status": "new",
    "replaces": None,
}
FILL = {
    "kind": "fill",
    "order_id": "o1",
    "client_order_id": "c1",
    "execution_id": "e1",
    "activity_id": "20260101000000000::e1",
    "symbol": "AAPL",
    "side": "sell",
    "quantity": "2",
    "price": "10",
    "cumulative_quantity": "2",
    "leaves_quantity": "3",
    "position_quantity": "-2",
    "at": "2026-01-01T00:00:00+00:00",
}


def request(client_order_id, operation="submit"):
    return {"kind": "request", "operation": operation, "client_order_id": client_order_id}


@pytest.fixture
def write_ledger(tmp_path):
    def write(*records, tail=""):
        path = tmp_path / "ledger.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
        return path

    return write


def test_an_absent_ledger_is_empty(tmp_path):
    summary = read_ledger(tmp_path)

    assert (summary.orders, summary.fills, summary.starts) == ({}, [], 0)


def test_posts_orders_and_fills_are_told_apart(write_ledger):
    path = write_ledger(
        request("c1"),
        {"kind": "accepted", "request_id": 1, "order": ORDER},
        request("c1"),
        {"kind": "refused", "client_order_id": "c1", "message": "client_order_id must be unique"},
        {"kind": "reply", "outcome": "drop_reply"},
        request("c1", "cancel"),
        FILL,
    )

    summary = read_ledger(path)

    assert summary.posts_seen["c1"] == 2
    assert summary.executed_quantity("c1") == 2
    assert summary.net_positions() == {"AAPL": Decimal(-2)}
    assert [order.status for order in summary.live_orders("c1")] == ["partially_filled"]
    assert summary.refusals == [("c1", "client_order_id must be unique")]
    assert summary.replies == {"drop_reply": 1}
    assert summary.duplicated_client_order_ids == []


def test_two_orders_under_one_client_order_id_are_a_duplicate(write_ledger):
    path = write_ledger(
        {"kind": "accepted", "request_id": 1, "order": ORDER},
        {"kind": "accepted", "request_id": 2, "order": {**ORDER, "id": "o2"}},
        {"kind": "state", "order_id": "o1", "status": "canceled"},
    )

    summary = read_ledger(path)

    assert summary.duplicated_client_order_ids == ["c1"]
    assert [order.order_id for order in summary.live_orders("c1")] == ["o2"]


def test_a_line_still_being_written_is_left_for_later(write_ledger):
    path = write_ledger({"kind": "started"}, tail='{"kind":"acc')

    assert read_ledger(path).starts == 1


@pytest.mark.parametrize("line", ["nonsense\n", "[1]\n", '{"no": "kind"}\n'])
def test_a_damaged_line_is_an_error_that_names_it(write_ledger, line):
    path = write_ledger({"kind": "started"}, tail=line)

    with pytest.raises(LedgerError, match="line 2 is not a ledger record"):
        read_ledger(path)
