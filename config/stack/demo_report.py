"""What the demonstration found, order by order: both sides of each, on the screen and as a file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from brokers.simulator.ledger import LedgerOrder, LedgerSummary
from config.stack.judgement import Judgement, Verdict

_AFTERMATH = timedelta(seconds=4)
_MOST_SHOWN = 40
_PROBLEMS = (Verdict.LOST, Verdict.DOUBLED, Verdict.UNKNOWN, Verdict.DIFFERS)
_OURS = ("state", "filled_quantity", "broker_order_id", "accepted_at", "acknowledged_at", "finished_at")


@dataclass(frozen=True, slots=True)
class Struck:
    """A failure that was caused, and when."""

    title: str
    at: datetime


def build_report(
    judgement: Judgement,
    orders: Sequence[Mapping[str, Any]],
    ledgers: Mapping[str, LedgerSummary],
    struck: Sequence[Struck],
) -> dict[str, Any]:
    """Return everything as plain data.

    ``accounts`` has the totals by account and together, ``orders`` each order with what is recorded (``ours``) and what
    the brokers' ledgers have under its id (``theirs``), and ``failures`` how long orders had to wait. Orders at a
    broker that nobody sent are ``strays``, with the broker's side alone.
    """
    recorded = {str(order["id"]): order for order in orders}
    accounts = sorted({item.account for item in judgement.verdicts if item.account})
    return {
        "clean": judgement.is_clean,
        "accounts": {name or "together": _totals(judgement, name) for name in (*accounts, "")},
        "failures": [
            {"title": one.title, "at": one.at.isoformat(), "seconds_to_recover": seconds_to_recover(one, orders)}
            for one in struck
        ],
        "orders": [
            {
                "id": item.order_id,
                "client_order_id": item.client_order_id,
                "account": item.account,
                "verdict": item.verdict.value,
                "reason": item.reason,
                "ours": {name: recorded[item.order_id][name] for name in _OURS} if item.order_id in recorded else None,
                "theirs": _theirs(ledgers, item.client_order_id),
                "seconds_to_answer": _seconds_to_answer(recorded.get(item.order_id)),
            }
            for item in judgement.verdicts
        ],
        "strays": [{"client_order_id": stray, "theirs": _theirs(ledgers, stray)} for stray in judgement.strays],
        "positions": judgement.positions,
    }


def write_report(report: Mapping[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=1) + "\n")


def print_report(console: Console, report: Mapping[str, Any]) -> None:
    """Show totals, failures, and both sides of each order that is not the same on both."""
    console.print(_totals_table(report["accounts"]))
    failures = Table(title="Failures", title_justify="left")
    failures.add_column("what was done")
    failures.add_column("seconds to recover: the longest wait of an order in hand", justify="right")
    for one in report["failures"]:
        failures.add_row(one["title"], f"{one['seconds_to_recover']:.1f}")
    console.print(failures)
    differing = [one for one in report["orders"] if one["verdict"] != Verdict.AGREES]
    differing += [
        {**one, "id": "-", "verdict": "stray", "reason": "nobody sent it", "ours": None} for one in report["strays"]
    ]
    if differing:
        console.print(_sides_table(differing))
    for line in report["positions"]:
        console.print(f"[red]{line}[/]")
    verdict = "[bold green]nothing lost, nothing doubled[/]" if report["clean"] else "[bold red]NOT CLEAN[/]"
    console.print(verdict)


def seconds_to_recover(struck: Struck, orders: Sequence[Mapping[str, Any]]) -> float:
    """Return the longest that any order in hand around a failure had to wait for its acknowledgement."""
    longest = 0.0
    for order in orders:
        accepted = datetime.fromisoformat(order["accepted_at"])
        done = order["acknowledged_at"] or order["finished_at"]
        if done is None or accepted > struck.at + _AFTERMATH or datetime.fromisoformat(done) < struck.at:
            continue
        longest = max(longest, (datetime.fromisoformat(done) - max(accepted, struck.at)).total_seconds())
    return longest


def _seconds_to_answer(order: Mapping[str, Any] | None) -> float | None:
    """Return how long after it was accepted an order was acknowledged or ended; None while it is neither."""
    done = order and (order["acknowledged_at"] or order["finished_at"])
    if not order or not done:
        return None
    return (datetime.fromisoformat(done) - datetime.fromisoformat(order["accepted_at"])).total_seconds()


def _totals(judgement: Judgement, account: str) -> dict[str, int]:
    mine = [item for item in judgement.verdicts if account in ("", item.account)]
    return {
        "accepted": len(mine),
        "executed": sum(item.state not in ("refused", "absent") for item in mine),
        "filled": sum(item.state == "filled" for item in mine),
        **{verdict.value: judgement.count(verdict, account) for verdict in _PROBLEMS},
    }


def _theirs(ledgers: Mapping[str, LedgerSummary], client_order_id: str) -> list[dict[str, Any]]:
    return [
        _their_side(account, order)
        for account, ledger in ledgers.items()
        for order in ledger.orders_by_client_order_id.get(client_order_id, [])
    ]


def _their_side(account: str, order: LedgerOrder) -> dict[str, Any]:
    return {
        "account": account,
        "broker_order_id": order.order_id,
        "status": order.status.value,
        "quantity": str(order.quantity),
        "filled_quantity": str(order.filled_quantity),
    }


def _totals_table(accounts: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table(title="The brokers' own ledgers against ours", title_justify="left")
    table.add_column("account")
    for name in accounts["together"]:
        table.add_column(name, justify="right")
    for name, totals in accounts.items():
        table.add_row(name, *map(str, totals.values()))
    return table


def _sides_table(differing: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Orders that differ", title_justify="left")
    table.add_column("order", no_wrap=True)
    for name in ("verdict", "here", "at the brokers"):
        table.add_column(name, overflow="fold")
    for one in differing[:_MOST_SHOWN]:
        ours = one["ours"]
        here = f"{ours['state']}, filled {ours['filled_quantity']}" if ours else "not on record"
        there = [
            f"{order['account']} {order['broker_order_id']}: {order['status']}, filled {order['filled_quantity']}"
            for order in one["theirs"]
        ]
        name = f"{one['id']}\n{one['client_order_id']}"
        table.add_row(name, f"[red]{one['verdict']}[/]: {one['reason']}", here, "\n".join(there) or "no such order")
    if len(differing) > _MOST_SHOWN:
        table.add_row(f"and {len(differing) - _MOST_SHOWN} more", "", "", "")
    return table
