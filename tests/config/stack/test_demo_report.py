"""The report of the demonstration has both sides of each order, as the brokers' own ledgers tell theirs."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from brokers.simulator.ledger import read_ledger
from config.stack.demo_report import Struck, build_report, print_report
from config.stack.judgement import judge
from tests.brokers.simulator.process import Simulator

AT = datetime(2026, 1, 2, 15, tzinfo=UTC)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    running = Simulator(tmp_path, ("--no-dedupe",)).start()
    yield running
    running.stop()


def recorded(number: int, order: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    """An order as the API shows it, resting at the broker."""
    row = {
        "id": f"order-{number}",
        "client_order_id": f"st-{number}",
        "account": "sim-a",
        "state": "working",
        "final": False,
        "filled_quantity": "0",
        "broker_order_id": order["id"] if order else "",
        "accepted_at": AT.isoformat(),
        "acknowledged_at": (AT + timedelta(seconds=number)).isoformat(),
        "finished_at": None,
    }
    return {**row, **changes}


def report_of(simulator: Simulator, orders: list[dict[str, Any]], accepted: list[str]) -> dict[str, Any]:
    ledgers = {"sim-a": read_ledger(simulator.data_dir)}
    struck = [Struck("a worker is killed", AT + timedelta(seconds=1))]
    return build_report(judge(accepted, orders, ledgers), orders, ledgers, struck)


def printed(report: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_report(console, report)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_orders_that_agree_are_counted_and_not_listed(simulator: Simulator) -> None:
    orders = [recorded(number, simulator.rest_order(f"st-{number}")) for number in (1, 2)]
    report = report_of(simulator, orders, ["order-1", "order-2"])

    assert report["clean"]
    assert report["accounts"]["sim-a"] == report["accounts"]["together"]
    assert report["accounts"]["together"]["accepted"] == 2
    assert report["orders"][1]["seconds_to_answer"] == 2
    assert report["orders"][1]["theirs"][0]["broker_order_id"] == orders[1]["broker_order_id"]
    assert report["failures"][0]["seconds_to_recover"] == 1
    assert "order-1" not in printed(report)


def test_each_order_that_differs_is_listed_with_both_sides(simulator: Simulator) -> None:
    twice = [simulator.rest_order("st-1") for _ in range(2)]
    stray = simulator.rest_order("st-9")
    orders = [
        recorded(1, twice[0]),
        recorded(2, None),
        recorded(3, simulator.rest_order("st-3"), state="unknown"),
        recorded(4, simulator.rest_order("st-4"), state="filled", final=True, filled_quantity="7"),
    ]
    report = report_of(simulator, orders, ["order-1", "order-5"])

    assert not report["clean"]
    assert {one["id"]: one["verdict"] for one in report["orders"]} == {
        "order-1": "doubled",
        "order-2": "lost",
        "order-3": "unknown",
        "order-4": "differs",
        "order-5": "lost",
    }
    text = printed(report)
    sides = [twice[0]["id"], twice[1]["id"], stray["id"], "filled 7", "not on record", "no such order", "NOT CLEAN"]
    assert [side for side in sides if side not in text] == []
