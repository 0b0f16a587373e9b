"""One trial: orders are sent, things are broken meanwhile, and then everything is looked at."""

import asyncio
import os
import random
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from config.chaos.load import Order, cancel_resting, mixed_order, send_orders
from config.chaos.machine import memory_mb
from config.chaos.measurements import Measurement, record
from config.chaos.stack import Stack
from config.stack.client import ApiClient
from config.stack.judgement import Judgement, Verdict, judge

SETTLE_SECONDS = 120.0  # only a machine that is very busy takes as long
_RECURRING_KINDS = ["orders.sync", "reconciliation.run"]  # what jobs of the schedule leave to others
_BEGIN_BY_THEMSELVES = {"saga.recovery"}
_PATIENCE_SECONDS = 30.0
_ORDER = re.compile(r"order [0-9a-f-]{36}")
_POLL_SECONDS = 0.25
Recovered = Callable[[], bool]


class NotCleanError(AssertionError):
    """Something was lost, doubled, left behind or not healed; the message lists it."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One thing that is broken on purpose, after ``share`` of the orders.

    ``act`` runs in a thread and may return a condition which holds once the victim is back.
    """

    share: float
    title: str
    act: Callable[[], Recovered | None]


@dataclass
class Trial:
    """What a trial showed."""

    name: str
    stack: Stack
    judgement: Judgement
    orders: list[Order]
    problems: list[str]
    measurement: Measurement

    def require_clean(self) -> None:
        """Raise ``NotCleanError`` unless nothing is wrong; the next trial on the stack is not blamed for it."""
        self.stack.known_problems |= {what_it_is_about(line) for line in self.problems}
        self.stack.abandoned |= {order["id"] for order in self.orders if not order["final"]}
        if self.problems:
            shown = "\n".join(self.problems[:20])
            raise NotCleanError(f"{self.name}: {len(self.problems)} problems, {self.measurement}\n{shown}")


@dataclass
class _Watch:
    """Runs the strikes of one trial and measures until everything is healthy after the last."""

    stack: Stack
    waiting: list[Strike]
    recovered: list[Recovered] = field(default_factory=list)
    running: list[asyncio.Task[None]] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    last_strike: float = 0.0

    def on_progress(self, share: float) -> None:
        while self.waiting and self.waiting[0].share <= share:
            self.running.append(asyncio.create_task(self._strike(self.waiting.pop(0))))

    async def _strike(self, strike: Strike) -> None:
        print(f"  {datetime.now(UTC):%H:%M:%S.%f} {strike.title}")
        self.last_strike = max(self.last_strike, time.monotonic())
        recovered = await asyncio.to_thread(strike.act)
        self.struck.append(strike.title)
        if recovered is not None:
            self.recovered.append(recovered)

    async def healthy_seconds(self) -> float:
        """Wait until the victims are back and all is ready; return the seconds since the last strike."""
        for task in self.running:
            await task
        assert not self.waiting, f"these were never struck: {self.waiting}"
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            if all(recovered() for recovered in self.recovered) and not await asyncio.to_thread(self.stack.not_healthy):
                break
            await asyncio.sleep(0.05)
        return time.monotonic() - self.last_strike if self.struck else 0.0


def what_it_is_about(problem: str) -> str:
    """Return the order that a problem names, or the problem itself: what is wrong with an order changes in time."""
    named = _ORDER.search(problem)
    return named.group() if named else problem


def run_trial(
    stack: Stack,
    name: str,
    strikes: Sequence[Strike] = (),
    *,
    orders: int = 150,
    rate: float = 50.0,
    draw: Callable[[random.Random], Order] = mixed_order,
    times: int = 1,
    settle_seconds: float = SETTLE_SECONDS,
) -> Trial:
    """Send orders while the strikes fall, wait until all is settled, and judge by the brokers' ledgers."""
    return asyncio.run(_run(stack, name, strikes, orders, rate, draw, times, settle_seconds))


def draws(name: str) -> random.Random:
    """Return the random draws of one scenario; STANCHION_ACCEPTANCE_SEED repeats a run."""
    seed = os.environ.get("STANCHION_ACCEPTANCE_SEED") or str(secrets.randbits(32))
    print(f"\n{name}: STANCHION_ACCEPTANCE_SEED={seed}")
    return random.Random(f"{seed}:{name}")


async def _run(
    stack: Stack,
    name: str,
    strikes: Sequence[Strike],
    count: int,
    rate: float,
    draw: Callable[[random.Random], Order],
    times: int,
    settle_seconds: float,
) -> Trial:
    watch = _Watch(stack, sorted(strikes, key=lambda strike: strike.share))
    memory_at_rest = await asyncio.to_thread(memory_mb, stack.instance.supervisor.pid)
    began_at = datetime.now(UTC)
    key = f"{name.replace(' ', '-')}-{secrets.token_hex(3)}"
    async with ApiClient(stack.instance.urls["web"], stack.instance.env["STANCHION_API_TOKEN"]) as client:
        await send_orders(
            client,
            name=key,
            count=count,
            rate=rate,
            chance=random.Random(f"{key}"),
            draw=draw,
            times=times,
            on_progress=watch.on_progress,
        )
        sent = time.monotonic()
        stack.accepted.update(client.accepted)
        watching = asyncio.create_task(watch.healthy_seconds())
        judgement, everything = await _settle(stack, client, watching, settle_seconds)
        settled_seconds = time.monotonic() - sent
        healthy_seconds = await watching
    found = [*judgement.problems(), *_repeated_intents(stack, everything)]
    problems = [line for line in found if what_it_is_about(line) not in stack.known_problems]
    mine = [order for order in everything if order["idempotency_key"].startswith(key)]
    problems += [f"order {order['id']} is still {order['state']}" for order in mine if not order["final"]]
    problems += await asyncio.to_thread(left_behind, stack)
    ours = {order["id"] for order in mine}
    counts = Counter(verdict.verdict for verdict in judgement.verdicts if verdict.order_id in ours)
    detected, handed_on = await asyncio.to_thread(detection_seconds, stack, began_at)
    measurement = Measurement(
        scenario=name,
        orders=count,
        strikes=len(watch.struck),
        lost=counts[Verdict.LOST] + count - len(client.accepted),
        doubled=counts[Verdict.DOUBLED] + max(0, len(mine) - count),
        unknown=counts[Verdict.UNKNOWN],
        differing=counts[Verdict.DIFFERS] + sum(line not in stack.known_problems for line in judgement.positions),
        filled=sum(order["state"] == "filled" for order in mine),
        longest_wait_seconds=longest_wait(mine),
        healthy_seconds=healthy_seconds,
        settled_seconds=settled_seconds,
        detection_seconds=detected,
        handed_on_seconds=handed_on,
        memory_at_rest_mb=round(memory_at_rest, 1),
    )
    record(measurement)
    return Trial(name, stack, judgement, mine, problems, measurement)


async def _settle(
    stack: Stack, client: ApiClient, watching: "asyncio.Task[float]", seconds: float
) -> tuple[Judgement, list[Order]]:
    """Cancel what rests for ever, then wait until nothing is under way and both sides agree, or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        still_open = await client.list_orders("&open=true")
        under_way = [order for order in still_open if order["id"] not in stack.abandoned]
        await cancel_resting(client, [order for order in under_way if order["state"] != "accepted"])
        over = time.monotonic() > deadline
        if over or (not under_way and watching.done() and not await asyncio.to_thread(unfinished_jobs, stack)):
            orders = await client.list_orders()
            positions = (await client.get("/api/v1/positions"))["results"]
            ledgers = await asyncio.to_thread(stack.ledgers)
            judgement = judge(stack.accepted.values(), orders, ledgers, positions)
            if over or {what_it_is_about(line) for line in judgement.problems()} <= stack.known_problems:
                return judgement, orders
        await asyncio.sleep(_POLL_SECONDS)


def unfinished_jobs(stack: Stack) -> list[tuple[Any, ...]]:
    """Return the jobs that are not done, but for those that the schedule brings again and again."""
    return stack.query(
        "SELECT kind, state, count(*) FROM reliability_job WHERE state IN ('ready', 'running') AND NOT kind = ANY(%s)"
        " AND coalesce(unique_key, '') NOT LIKE 'scheduled:%%' GROUP BY kind, state",
        [_RECURRING_KINDS],
    )


def _repeated_intents(stack: Stack, orders: Sequence[Order]) -> list[str]:
    """Every client insists until it is told an id: an order that nobody was told of repeats another one's intent."""
    told = set(stack.accepted.values())
    return [f"doubled: nobody was told of order {order['id']}" for order in orders if order["id"] not in told]


def left_behind(stack: Stack) -> list[str]:
    """Return what a trial leaves: jobs under way, dead letters nobody asked for, and whatever is not healthy."""
    return [*still_unfinished(stack), *fresh_dead_letters(stack), *still_not_healthy(stack)]


def still_unfinished(stack: Stack) -> list[str]:
    """Return what stays unfinished; a recovery may have begun by itself a moment ago, and is waited for."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (rows := unfinished_jobs(stack)) and {row[0] for row in rows} <= _BEGIN_BY_THEMSELVES:
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    return [f"{count} jobs {kind} are still {state}" for kind, state, count in rows]


def fresh_dead_letters(stack: Stack) -> list[str]:
    """Return the dead letters that were not there the last time somebody asked."""
    dead = stack.query("SELECT id, kind, error_code, error_message FROM reliability_job WHERE state = 'dead'")
    fresh = [row for row in dead if row[0] not in stack.known_dead_letters]
    stack.known_dead_letters |= {row[0] for row in dead}
    return [f"dead letter {job}: {kind} {code}: {message}" for job, kind, code, message in fresh]


def still_not_healthy(stack: Stack) -> list[str]:
    """Return what stays wrong; a heartbeat that is late for a moment on a busy machine is not."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (wrong := stack.not_healthy()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return wrong


def longest_wait(orders: Sequence[Order]) -> float:
    """Return the longest time between the acceptance of an order and its acknowledgement or end, in seconds."""
    waits = [0.0]
    for order in orders:
        ends = [order[name] for name in ("acknowledged_at", "finished_at") if order[name] is not None]
        if ends:
            end = min(datetime.fromisoformat(text) for text in ends)
            waits.append((end - datetime.fromisoformat(order["accepted_at"])).total_seconds())
    return max(waits)


def detection_seconds(stack: Stack, since: datetime) -> tuple[list[float], list[float]]:
    """Return, per process killed since then, the seconds until it was seen dead and until its jobs were handed on."""
    seen, handed_on = [], []
    for pid, killed_at in stack.killed.items():
        if killed_at < since:
            continue
        rows = stack.query(
            "SELECT pulse, ended_at FROM reliability_heartbeat WHERE pid = %s AND started_at < %s AND ended_at > %s"
            " ORDER BY started_at DESC LIMIT 1",
            [pid, killed_at, killed_at],
        )
        for pulse, ended_at in rows:
            seen.append((ended_at - killed_at).total_seconds())
            lost = stack.query(
                "SELECT max(recorded_at) FROM reliability_jobattempt WHERE worker = %s AND outcome = 'lost'", [pulse]
            )
            handed_on += [(row[0] - killed_at).total_seconds() for row in lost if row[0] is not None]
    return seen, handed_on
