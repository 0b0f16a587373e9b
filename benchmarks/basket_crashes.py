"""Baskets under kill -9: ``make basket-crashes``, or ``python -m benchmarks.basket_crashes --crashes 6``.

On a stack of its own, baskets that fill and baskets that fail are sent while pool processes die at a system
call drawn at random (``--at calls``, through strace), or they and whole workers at random moments. The broker's
own ledger is the judge: a basket is whole when every leg filled, or when what its legs traded was traded back
to nothing. Status 1 when any basket is half, or never ends, 2 when nothing was run because system calls cannot
be traced here.
"""

import argparse
import asyncio
import random
import secrets
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import aiohttp
from rich.console import Console
from rich.table import Table

from benchmarks.basket_deaths import LATEST_CALL, DyingAtCall, kill_at_a_moment, wait_for_workers
from benchmarks.evidence import machine_line, write_evidence
from brokers.simulator.ledger import LedgerSummary
from config.chaos.diagnosis import diagnose
from config.chaos.faults.tracing import why_not_traced
from config.chaos.stack import Stack, running_stack

SYMBOLS = ("AAPL", "MSFT", "NVDA", "KO")
_UNREACHABLE_PRICE = "0.5"
SETTLE_SECONDS = 90.0
_BETWEEN_SECONDS = 0.3
_MOST_UNTIL_DEAD = 60
console = Console()

Body = dict[str, Any]


@dataclass
class CrashRun:
    """What came of one run: kills, the system calls at which they fell, baskets by their end, and every problem."""

    crashes: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def draw_basket(chance: random.Random) -> Body:
    """Draw a basket of two to four legs; half of them have one leg that can never fill."""
    size = chance.randint(2, 4)
    fails_at = chance.randrange(size) if chance.random() < 0.5 else None
    legs = [_leg(chance, fails=number == fails_at) for number in range(size)]
    return {"legs": legs, "leg_order": chance.choice(("sequential", "parallel")), "offset_fills": True}


def _leg(chance: random.Random, *, fails: bool) -> Body:
    leg: Body = {"account": "sim-a", "symbol": chance.choice(SYMBOLS), "side": "buy", "quantity": chance.randint(1, 5)}
    if fails:
        return {**leg, "type": "limit", "time_in_force": "ioc", "limit_price": _UNREACHABLE_PRICE}
    return {**leg, "type": "market", "time_in_force": "day"}


def run_crashes(
    stack: Stack,
    crashes: int,
    chance: random.Random,
    settle_seconds: float = SETTLE_SECONDS,
    at: Literal["calls", "moments"] = "moments",
) -> CrashRun:
    """Kill a random worker process ``crashes`` times with baskets under way, wait for their ends, and judge them."""
    return asyncio.run(_run(stack, crashes, chance, settle_seconds, at))


async def _run(stack: Stack, crashes: int, chance: random.Random, settle_seconds: float, at: str) -> CrashRun:
    run = CrashRun()
    headers = {"Authorization": f"Bearer {stack.instance.env['STANCHION_API_TOKEN']}"}
    async with aiohttp.ClientSession(stack.instance.urls["web"], headers=headers) as session:
        ids = []
        calls = [chance.randint(1, LATEST_CALL) for _ in range(crashes)]
        for number in range(crashes):
            ids += [await _submit(session, draw_basket(chance)) for _ in range(chance.randint(1, 2))]
            if at == "calls":
                ids += await _crash_at_call(session, stack, chance, calls[number], run)
            else:
                await asyncio.sleep(chance.uniform(0.0, 0.7))
                run.struck[await asyncio.to_thread(kill_at_a_moment, stack, chance)] += 1
            run.crashes += 1
            if (number + 1) % 20 == 0:
                console.print(f"{number + 1} crashes, {len(ids)} baskets", highlight=False)
        baskets = await _wait(session, ids, settle_seconds)
    ledger = stack.ledgers()["sim-a"]
    for basket in baskets:
        run.ends[basket["state"]] += 1
        run.problems += judge(basket, ledger)
        run.seconds += [_seconds(basket)] if basket["final"] else []
    run.problems += [f"placed twice: {key}" for key in ledger.duplicated_client_order_ids]
    return run


async def _crash_at_call(
    session: aiohttp.ClientSession, stack: Stack, chance: random.Random, number: int, run: CrashRun
) -> list[str]:
    """Let a pool process die at a system call and return the baskets that were sent until it had."""
    ids: list[str] = []
    with DyingAtCall.begin(stack, chance, number) as dying:
        while not await asyncio.to_thread(dying.is_dead_within, _BETWEEN_SECONDS):
            if len(ids) == _MOST_UNTIL_DEAD:
                raise AssertionError(f"the process never came to its call {dying.number}")
            ids.append(await _submit(session, draw_basket(chance)))
        run.calls[dying.fatal_call()] += 1
    run.struck["pool process"] += 1
    await asyncio.to_thread(wait_for_workers, stack)
    return ids


async def _submit(session: aiohttp.ClientSession, body: Body) -> str:
    """Insist under one key until the basket is accepted."""
    headers = {"Idempotency-Key": f"crash-{secrets.token_hex(8)}"}
    for _ in range(50):
        async with session.post("/api/v1/baskets", json=body, headers=headers) as response:
            answer = await response.json()
            if response.status == 202:
                return str(answer["id"])
            if response.status < 500:
                raise AssertionError(f"refused: {answer}")
        await asyncio.sleep(0.2)
    raise AssertionError("the API never took a basket")


async def _wait(session: aiohttp.ClientSession, ids: list[str], settle_seconds: float) -> list[Body]:
    """Return every basket, once all have ended or the time to settle is over."""
    deadline = time.monotonic() + settle_seconds
    found: dict[str, Body] = {}
    while True:
        for basket_id in ids:
            if not found.get(basket_id, {}).get("final"):
                async with session.get(f"/api/v1/baskets/{basket_id}") as response:
                    found[basket_id] = await response.json()
        if all(basket["final"] for basket in found.values()) or time.monotonic() > deadline:
            return list(found.values())
        await asyncio.sleep(0.2)


def judge(basket: Body, ledger: LedgerSummary) -> list[str]:
    """Return what is wrong with one basket by the broker's ledger: it must be whole, or nothing."""
    if not basket["final"]:
        return [f"basket {basket['id']} never ended: {basket['state']}"]
    traded = [_traded(leg, ledger) for leg in basket["legs"]]
    filled = all(
        ours == Decimal(leg["request"]["quantity"]) for (ours, _), leg in zip(traded, basket["legs"], strict=True)
    )
    offset = any(back for _, back in traded)
    if basket["state"] == "filled":
        return [] if filled and not offset else [f"basket {basket['id']} says filled, the ledger has {traded}"]
    flat = all(ours == back for ours, back in traded)
    return [] if basket["state"] == "compensated" and flat else [f"half basket {basket['id']}: {traded}"]


def _traded(leg: Body, ledger: LedgerSummary) -> tuple[Decimal, Decimal]:
    """Return what the broker filled for a leg, and what it filled to trade it back."""
    ours = _filled(leg["order"], ledger) if leg["order"] else Decimal(0)
    return ours, sum((_filled(offset, ledger) for offset in leg["offsets"]), Decimal(0))


def _filled(order: Body, ledger: LedgerSummary) -> Decimal:
    found = ledger.orders_by_client_order_id.get(order["client_order_id"], [])
    return sum((entry.filled_quantity for entry in found), Decimal(0))


def _seconds(basket: Body) -> float:
    ended, began = (datetime.fromisoformat(basket[name]) for name in ("finished_at", "created_at"))
    return (ended - began).total_seconds()


def crash_table(run: CrashRun) -> Table:
    table = Table(title=f"{run.crashes} crashes under baskets")
    for name in ("crashes", "baskets", "ends", "p50 s", "p95 s", "max s", "problems"):
        table.add_column(name)
    waits = sorted(run.seconds) or [0.0]
    places = (waits[len(waits) // 2], waits[int(len(waits) * 0.95)], waits[-1])
    table.add_row(
        ", ".join(f"{count} {what}" for what, count in run.struck.items()),
        str(run.ends.total()),
        ", ".join(f"{count} {what}" for what, count in sorted(run.ends.items())),
        *(f"{place:.2f}" for place in places),
        str(len(run.problems)),
    )
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crashes", type=int, default=200)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--at", choices=("calls", "moments"), default="calls", help="where processes die")
    parser.add_argument("--settle", type=float, default=SETTLE_SECONDS, help="seconds for the last baskets to end")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    console.print(f"{machine_line()}\n{arguments.crashes} crashes, seed {arguments.seed}", highlight=False)
    missing = why_not_traced() if arguments.at == "calls" else ""
    if missing:
        console.print(f"not run: {missing}; --at moments needs no tracing", highlight=False)
        return 2
    with running_stack() as stack:
        stack.fault("a", "latency", operation="submit", ms=100, jitter_ms=100)
        chance = random.Random(arguments.seed)
        run = run_crashes(stack, arguments.crashes, chance, arguments.settle, arguments.at)
        stood = diagnose(stack) if run.problems else []
    console.print(crash_table(run))
    if run.calls:
        console.print("died at: " + ", ".join(f"{name} {times}" for name, times in run.calls.most_common()))
    for problem in run.problems:
        console.print(f"[red]{problem}[/]", highlight=False)
    for line in stood:
        console.print(f"the stack stood so: {line}", highlight=False, markup=False)
    if arguments.json:
        result: dict[str, Any] = {"ends": dict(run.ends), "struck": dict(run.struck), "calls": dict(run.calls)}
        result |= {"problems": run.problems, "seconds": run.seconds}
        parameters = {name: value for name, value in vars(arguments).items() if name != "json"}
        write_evidence(Path(arguments.json), "basket-crashes", parameters, [result])
    return 1 if run.problems else 0


if __name__ == "__main__":
    sys.exit(main())
