"""The backup drill: a backup is taken in the middle of work, lost work follows, and everything is restored from it.

On an instance of its own: orders flow while the database is dumped; more orders are sent, and some canceled, which
the backup knows nothing of; the processes end, the database is wiped and restored. Trading is held until accounts are
recovered and reconciled in full; what is recorded must then equal the brokers' own ledgers, and nothing may have been
sent before the hold was released. The exit status is 0 only if all of that holds.
"""

import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psycopg
from rich.console import Console

from brokers.simulator.ledger import LedgerSummary
from config.stack.client import ApiClient
from config.stack.demo import read_ledgers
from config.stack.judgement import Verdict, judge
from config.stack.running import ROOT, RunningInstance

APPLICATION = (
    *("web", "beat", "sentinel", "streams", "flower"),
    *("worker-orders", "worker-orders-2", "worker-general"),
)
_ACCOUNTS = ("sim-a", "sim-b")
_PATIENCE_SECONDS = 120.0
_SYMBOLS = ("AAPL", "MSFT", "NVDA")
_SPARE = "TSLA"  # of an order after the restore: orders that the backup did not know freeze their symbols
_RECOVERED = """
SELECT count(*) FROM brokers_account account WHERE enabled AND EXISTS (
    SELECT FROM reconciliation_recoveryrun run
    WHERE run.account_id = account.id AND run.state = 'recovered' AND run.started_at > %s)
"""


class DrillFailedError(Exception):
    """Something did not come to pass in time."""


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What the drill found; ``problems`` is empty when good. Seconds are from the end of the last process on.

    ``gone_unfilled`` orders came after the backup and were canceled before anything filled: nothing of them is open or
    booked at a broker, and no comparison finds them.
    """

    orders_in_backup: int
    orders_after_backup: int
    backup_bytes: int
    restored_seconds: float
    answering_seconds: float
    reconciled_seconds: float
    trading_seconds: float
    sent_while_held: int
    external_orders: int
    gone_unfilled: int
    problems: tuple[str, ...]


def run(instance: RunningInstance, *, orders: int = 60) -> DrillResult:
    """Take a running instance through the drill.

    Raises:
        DrillFailedError: a step did not come to its end.
    """
    return asyncio.run(_run(instance, orders))


def show(instance: RunningInstance, *, orders: int, file: Path | None) -> int:
    """Run the drill and print what it found; returns the exit status."""
    result = run(instance, orders=orders)
    console = Console()
    console.print_json(json.dumps(asdict(result)))
    console.print("[bold red]NOT CLEAN[/]" if result.problems else "[bold green]restored, equal to the ledgers[/]")
    if file is not None:
        machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}
        content = {
            "benchmark": "backup-drill",
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {**machine, "system": f"{platform.system()} {platform.release()}"},
            "parameters": {"orders": orders},
            "results": [asdict(result)],
        }
        file.write_text(json.dumps(content, indent=1) + "\n")
    return 1 if result.problems else 0


async def _run(instance: RunningInstance, orders: int) -> DrillResult:
    backup = instance.directory / "drill.dump"
    async with ApiClient(instance.urls["web"], instance.env["STANCHION_API_TOKEN"]) as client:
        await _submit(client, "known", orders)
        dumped = asyncio.Event()
        flow = asyncio.create_task(_submit_until(client, dumped))
        await asyncio.to_thread(_manage, instance, "backup", "create", str(backup))
        dumped.set()
        await flow
        listed = await client.list_orders()
        lost = await _submit(client, "after", orders // 3)
        await asyncio.gather(*(client.cancel(one["id"]) for one in listed if not one["final"]))
        await _until(lambda: _all_sent(client), "what was accepted is at the brokers")
    for name in APPLICATION:
        if name in instance.state()["processes"]:
            await asyncio.to_thread(instance.control.stop, name)
    ended, before = time.monotonic(), read_ledgers(instance)
    await asyncio.to_thread(_manage, instance, "backup", "restore", str(backup), "--wipe")
    restored = time.monotonic() - ended
    started_at = _query(instance, "SELECT clock_timestamp()")[0][0]
    starting = [name for name in APPLICATION if name in instance.state()["processes"] and name != "flower"]
    await asyncio.gather(*(asyncio.to_thread(instance.control.start, name) for name in starting))
    answering = time.monotonic() - ended
    async with ApiClient(instance.urls["web"], instance.env["STANCHION_API_TOKEN"]) as client:
        held = await client.submit("held", {**_order(0), "symbol": _SPARE})
        await _until(lambda: _is_recovered(instance, started_at), "every account is recovered")
        await asyncio.to_thread(_manage, instance, "reconcile", "--full", "--quiet", may_differ=True)
        problems, in_backup, external, gone = await _compare(instance, client, held)
        reconciled = time.monotonic() - ended
        sent = _count_posts(read_ledgers(instance)) - _count_posts(before)
        if sent:
            problems.append(f"{sent} requests to submit were made while trading was held")
        await asyncio.to_thread(_release, instance)
        await _until(lambda: _is_final(client, held), "the order that was held is carried out")
    return DrillResult(
        orders_in_backup=in_backup,
        orders_after_backup=lost,
        backup_bytes=backup.stat().st_size,
        restored_seconds=round(restored, 2),
        answering_seconds=round(answering, 2),
        reconciled_seconds=round(reconciled, 2),
        trading_seconds=round(time.monotonic() - ended, 2),
        sent_while_held=sent,
        external_orders=external,
        gone_unfilled=gone,
        problems=tuple(problems),
    )


async def _submit(client: ApiClient, name: str, count: int) -> int:
    """Send orders one after the other, every fourth of them resting; returns how many."""
    for number in range(count):
        await client.submit(f"{name}-{number}", _order(number))
    return count


async def _submit_until(client: ApiClient, over: asyncio.Event) -> None:
    """Send orders until the backup is taken, so that it is of a moment in the middle of work."""
    number = 0
    while not over.is_set():
        await client.submit(f"during-{number}", _order(number))
        number += 1
        await asyncio.sleep(0.05)


def _order(number: int) -> dict[str, Any]:
    order: dict[str, Any] = {
        "account": _ACCOUNTS[number % 2],
        "symbol": _SYMBOLS[number % len(_SYMBOLS)],
        "side": "buy",
        "quantity": 1 + number % 20,
    }
    if number % 4 == 3:
        return {**order, "type": "limit", "limit_price": "0.5", "time_in_force": "gtc"}
    return {**order, "type": "market", "time_in_force": "day"}


async def _compare(instance: RunningInstance, client: ApiClient, held: str) -> tuple[list[str], int, int, int]:
    """Hold orders, positions and strange orders against the ledgers.

    Returns problems, orders of ours, strange ones on record, and those that ended with nothing filled.
    """
    ledgers = read_ledgers(instance)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        orders = [one for one in await client.list_orders() if one["id"] != held]
        positions = (await client.get("/api/v1/positions"))["results"]
        judgement = judge([], orders, ledgers, positions)
        external = (await client.get("/api/v1/external-orders"))["results"]
        gone = _gone_unfilled(ledgers)
        strange = set(judgement.strays) - {one["client_order_id"] for one in external}
        problems = [
            f"{one.verdict}: {one.client_order_id}: {one.reason}"
            for one in judgement.verdicts
            if one.verdict is not Verdict.AGREES
        ]
        problems += [*judgement.positions, *(f"not on record: {stray}" for stray in sorted(strange - gone))]
        if not problems or time.monotonic() > deadline:
            return problems, len(orders), len(external), len(strange & gone)
        await asyncio.sleep(0.5)


def _gone_unfilled(ledgers: dict[str, LedgerSummary]) -> set[str]:
    """Return the client ids whose every order ended at its broker with nothing filled."""
    orders = [one for ledger in ledgers.values() for one in ledger.orders.values()]
    lasting = {one.client_order_id for one in orders if one.is_live or one.filled_quantity}
    return {one.client_order_id for one in orders} - lasting


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not await condition():
        if time.monotonic() > deadline:
            raise DrillFailedError(f"not within {_PATIENCE_SECONDS:.0f} s: {what}")
        await asyncio.sleep(0.2)


async def _all_sent(client: ApiClient) -> bool:
    """Return whether the brokers have everything that was accepted."""
    return not {one["state"] for one in await client.list_orders()} & {"accepted", "sending", "unknown"}


async def _is_recovered(instance: RunningInstance, since: Any) -> bool:
    return bool(_query(instance, _RECOVERED, [since])[0][0] == len(_ACCOUNTS))


async def _is_final(client: ApiClient, order_id: str) -> bool:
    return bool((await client.get(f"/api/v1/orders/{order_id}"))["final"])


def _release(instance: RunningInstance) -> None:
    """Let trading go on, as the person who set the instance up."""
    freezes = _query(instance, "SELECT id FROM brokers_freeze WHERE cause = 'person' AND released_at IS NULL")
    for (number,) in freezes:
        url = f"{instance.urls['web']}/api/v1/freezes/{number}/release"
        headers = {
            "Authorization": f"Bearer {instance.env['STANCHION_API_TOKEN']}",
            "Content-Type": "application/json",
        }
        body = json.dumps({"reason": "the reconciliation after the restore is clean"}).encode()
        with urlopen(Request(url, body, headers), timeout=10) as answer:  # noqa: S310  # loopback
            answer.read()


def _count_posts(ledgers: dict[str, LedgerSummary]) -> int:
    return sum(ledger.posts_seen.total() for ledger in ledgers.values())


def _query(instance: RunningInstance, statement: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with psycopg.connect(instance.env["DATABASE_URL"], autocommit=True) as connection:
        return connection.execute(statement, parameters).fetchall()


def _manage(instance: RunningInstance, *arguments: str, may_differ: bool = False) -> None:
    argv = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(argv, cwd=ROOT, env=instance.environment, capture_output=True, text=True)
    if done.returncode and not may_differ:
        raise DrillFailedError(f"manage.py {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
