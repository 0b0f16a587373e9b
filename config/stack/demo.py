"""The demonstration: orders go through failures, then the brokers' ledgers are compared with ours.

300 orders of mixed kinds are sent through the REST API to two simulated brokers. Meanwhile a
worker is killed with -9, one broker loses replies for a while, and Redis is killed with its
data lost. The exit status is 0 only if nothing was lost, done twice, or left unknown.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from brokers.simulator.ledger import LedgerSummary, read_ledger
from config.stack.client import ApiClient, gather_bounded
from config.stack.demo_report import Struck, build_report, print_report, write_report
from config.stack.judgement import Judgement, Verdict, judge
from config.stack.running import RunningInstance

ORDERS = 300
RATE = 25.0
SETTLE_SECONDS = 60.0
_BATCH = 10
_SYMBOLS = ("AAPL", "MSFT", "NVDA", "AMZN", "TSLA")
_ACCOUNTS = ("sim-a", "sim-b")
_LOST_REPLIES = {"kind": "drop_reply", "operation": "submit", "probability": 0.5, "seconds": 4}


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is broken on purpose, after ``share`` of the orders."""

    share: float
    title: str
    cause: Callable[[RunningInstance], None]


def _kill_worker(instance: RunningInstance) -> None:
    instance.control.kill("worker-orders")


def _lose_replies(instance: RunningInstance) -> None:
    post_json(instance.urls["simbroker-a"] + "/sim/faults", _LOST_REPLIES)


def _wipe_redis(instance: RunningInstance) -> None:
    instance.control.wipe("valkey")


FAILURES = (
    Failure(0.2, "a worker is killed with -9", _kill_worker),
    Failure(0.45, "broker A executes orders and loses the replies", _lose_replies),
    Failure(0.7, "Redis is killed and its data is lost", _wipe_redis),
)


def run(instance: RunningInstance, *, orders: int = ORDERS, file: Path | None = None) -> int:
    """Show the main job under failures on a running instance; returns the exit status.

    The report, order by order, is also written as JSON to ``file``.
    """
    console = Console()
    _print_addresses(console, instance)
    report = asyncio.run(_run(instance, console, orders))
    print_report(console, report)
    if file is not None:
        write_report(report, file)
        console.print(f"order by order: {file}")
    return 0 if report["clean"] else 1


async def _run(instance: RunningInstance, console: Console, count: int) -> dict[str, Any]:
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with ApiClient(instance.urls["web"], instance.env["STANCHION_API_TOKEN"]) as client:
        with Progress(*columns, console=console) as progress:
            struck = await _send_orders(instance, client, progress, count)
            judgement, orders = await _settle(instance, client, progress)
    return build_report(judgement, orders, read_ledgers(instance), struck)


async def _send_orders(instance: RunningInstance, client: ApiClient, progress: Progress, orders: int) -> list[Struck]:
    """Send so many orders at a steady rate, and let each failure strike at its moment."""
    chance = random.Random(7)  # noqa: S311  # a repeatable mix, not a secret
    bar = progress.add_task("orders accepted", total=orders)
    waiting = sorted(FAILURES, key=lambda failure: failure.share)
    struck: list[Struck] = []
    work: set[asyncio.Task[Any]] = set()
    prefix = f"demo-{secrets.token_hex(4)}"  # another demonstration on the same instance sends other orders
    began = time.monotonic()
    sent = 0
    while sent < orders:
        if waiting and sent >= waiting[0].share * orders:
            failure = waiting.pop(0)
            progress.console.print(f"[bold red]{time.monotonic() - began:5.1f} s  {failure.title}[/]")
            struck.append(Struck(failure.title, datetime.now().astimezone()))
            work.add(asyncio.create_task(asyncio.to_thread(failure.cause, instance)))
        count = _BATCH if sent % 50 == 0 else 1
        batch = {f"{prefix}-{number}": _order(chance) for number in range(sent, sent + count)}
        work.add(asyncio.create_task(_submit(client, batch, chance.random() < 0.2)))
        sent += count
        progress.update(bar, completed=len(client.accepted))
        await asyncio.sleep(max(0.0, began + sent / RATE - time.monotonic()))
    await asyncio.gather(*work)
    progress.update(bar, completed=len(client.accepted))
    return struck


def _order(chance: random.Random) -> dict[str, Any]:
    order: dict[str, Any] = {
        "account": chance.choice(_ACCOUNTS),
        "symbol": chance.choice(_SYMBOLS),
        "side": "buy",
        "time_in_force": "gtc",
    }
    kind = chance.random()
    if kind < 0.55:
        return {**order, "type": "market", "time_in_force": "day", "quantity": chance.randint(1, 40)}
    if kind < 0.65:
        return {**order, "type": "market", "time_in_force": "day", "notional": chance.randint(100, 2000)}
    if kind < 0.85:
        return {**order, "type": "limit", "quantity": chance.randint(1, 60), "limit_price": "600"}
    return {**order, "type": "limit", "quantity": chance.randint(1, 60), "limit_price": "0.5"}


async def _submit(client: ApiClient, orders: dict[str, dict[str, Any]], cancel: bool) -> None:
    if len(orders) > 1:
        await client.submit_batch(orders)
        return
    ((key, order),) = orders.items()
    order_id = await client.submit(key, order)
    if cancel:
        await asyncio.sleep(0.3)
        await client.cancel(order_id)


async def _settle(
    instance: RunningInstance, client: ApiClient, progress: Progress
) -> tuple[Judgement, list[dict[str, Any]]]:
    """Cancel what still rests, then wait until both sides agree or the time is over."""
    bar = progress.add_task("agreeing with brokers", total=len(client.accepted))
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        orders = await client.list_orders()
        resting = [order["id"] for order in orders if not order["final"] and order["cancel_requested_at"] is None]
        if resting:
            await gather_bounded([partial(client.cancel, order_id) for order_id in resting])
        positions = (await client.get("/api/v1/positions"))["results"]
        judgement = judge(client.accepted.values(), orders, read_ledgers(instance), positions)
        progress.update(bar, completed=judgement.count(Verdict.AGREES))
        all_final = all(order["final"] for order in orders)
        if (all_final and judgement.is_settled) or time.monotonic() > deadline:
            return judgement, orders
        await asyncio.sleep(0.5)


def read_ledgers(instance: RunningInstance) -> dict[str, LedgerSummary]:
    """Read the ledger of each simulated broker, by the account that trades there."""
    return {f"sim-{letter}": read_ledger(instance.directory / f"simbroker-{letter}") for letter in "ab"}


def post_json(url: str, body: dict[str, Any]) -> None:
    """POST to a simulated broker's switches; raises ``OSError`` when it refuses."""
    import json

    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310  # loopback
    with urlopen(request, timeout=5) as response:  # noqa: S310  # loopback
        response.read()


def _print_addresses(console: Console, instance: RunningInstance) -> None:
    table = Table(show_header=False, title="Watch it while it runs", title_justify="left")
    for label, key in (
        ("operator screen", "web"),
        ("admin", "admin"),
        ("API documentation", "api"),
        ("Flower", "flower"),
    ):
        table.add_row(label, instance.urls[key])
    table.add_row("login", f"{instance.env['STANCHION_ADMIN_USER']} / {instance.env['STANCHION_ADMIN_PASSWORD']}")
    console.print(table)
