"""The upgrade drill: old and new code side by side while orders flow (docs/howto/upgrade.md).

The earlier release runs on an instance of its own. Orders are sent all the time; the new code migrates the database
under the old processes; then workers, streams, sentinel, beat and web are replaced one after the other. At the end
every order must be in the brokers' own ledgers once, as it is recorded. The exit status is 0 only if all that holds.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from config.roles import SETUP, get_role
from config.stack.client import ApiClient
from config.stack.demo import read_ledgers
from config.stack.earlier_release import EarlierRelease, earlier_release
from config.stack.judgement import judge
from config.stack.launch import Account, child_setup
from config.stack.running import ROOT, RunningInstance, running_instance

_OWN_SERVERS = {"DATABASE_URL": "", "REDIS_URL": "", "STANCHION_SIM_FEEDS": "0", "STANCHION_LOG_LEVEL": "WARNING"}
_PATIENCE_SECONDS = 90.0
_SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA")
_REPLACED = ("worker-orders", "worker-orders-2", "worker-general", "streams", "sentinel", "beat", "web")
_KINDS = {"worker-orders": "worker", "worker-orders-2": "worker", "worker-general": "worker"}
_LIVING = "SELECT count(*) FROM reliability_heartbeat WHERE kind = %s AND pid = ANY(%s) AND ended_at IS NULL"


class UpgradeFailedError(Exception):
    """Something did not come to pass in time."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What one step of the upgrade was to the orders sent meanwhile; seconds, from sending an order on."""

    name: str
    orders: int
    accepted_after: float
    acknowledged_after: float


@dataclass(frozen=True, slots=True)
class UpgradeResult:
    """What the drill found; ``problems`` is empty when good."""

    old_commit: str
    migrations: int
    stages: tuple[Stage, ...]
    orders: int
    problems: tuple[str, ...]

    @property
    def longest_wait(self) -> float:
        return max((max(one.accepted_after, one.acknowledged_after) for one in self.stages), default=0.0)


@dataclass
class _Flow:
    """Orders at a steady rate, and in which stage each was sent."""

    client: ApiClient
    rate: float
    stage: str = ""
    sent: dict[str, tuple[str, datetime, float]] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        chance = random.Random(1)  # noqa: S311  repeatable orders
        sending: set[asyncio.Task[None]] = set()
        while not self.over.is_set():
            sending.add(asyncio.create_task(self._send(f"upgrade-{len(sending)}", chance)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), 1 / self.rate)
        await asyncio.gather(*sending)

    async def _send(self, key: str, chance: random.Random) -> None:
        stage, at, began = self.stage, datetime.now(UTC), time.monotonic()
        order_id = await self.client.submit(key, _order(chance))
        self.sent[order_id] = (stage, at, time.monotonic() - began)


def run(release: EarlierRelease, *, rate: float, stage_seconds: float, say: Callable[[str], object]) -> UpgradeResult:
    """Take a stack of the earlier release to this one.

    Raises:
        UpgradeFailedError: a step did not come to its end.
    """
    with running_instance(environment=_OWN_SERVERS, without=["flower"], root=release.tree) as instance:
        say(f"old code runs in {instance.directory}")
        with contextlib.ExitStack() as new_processes:
            return asyncio.run(_run(instance, release, new_processes, rate, stage_seconds, say))


async def _run(
    instance: RunningInstance,
    release: EarlierRelease,
    new_processes: contextlib.ExitStack,
    rate: float,
    stage_seconds: float,
    say: Callable[[str], object],
) -> UpgradeResult:
    before = _count_migrations(instance)
    async with ApiClient(instance.urls["web"], instance.env["STANCHION_API_TOKEN"]) as client:
        flow = _Flow(client, rate)
        flowing = asyncio.create_task(flow.run())
        names: list[str] = []

        async def stage(name: str, step: Callable[[], Awaitable[None]] | None = None) -> None:
            names.append(name)
            flow.stage = name
            say(name)
            if step is not None:
                await step()
            await asyncio.sleep(stage_seconds)  # orders of this stage

        try:
            await stage("old code alone")
            await stage("new code migrates under the old processes", lambda: asyncio.to_thread(_migrate, instance))
            for name in _REPLACED:
                step = _Replacement(instance, new_processes, name)
                await stage(f"{name} replaced", lambda step=step: asyncio.to_thread(step))  # type: ignore[misc]
            await stage("new code alone")
        finally:
            flow.over.set()
            await flowing
        problems, orders = await _judged(instance, client, flow)
    problems += [f"{name} of the old code still runs" for name in _old_ones(instance)]
    return UpgradeResult(
        release.commit,
        _count_migrations(instance) - before,
        tuple(_stage(name, flow, orders) for name in names),
        len(flow.sent),
        tuple(problems),
    )


def _migrate(instance: RunningInstance) -> None:
    for arguments in SETUP:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=instance.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise UpgradeFailedError(f"{' '.join(arguments)}: {done.stderr.strip()[-500:]}")


@dataclass(frozen=True, slots=True)
class _Replacement:
    """One process of the new code in the place of one of the old: started first, where both can run."""

    instance: RunningInstance
    new_processes: contextlib.ExitStack
    name: str

    def __call__(self) -> None:
        if self.name == "web":  # one port
            self.instance.control.stop(self.name)
        child = self.new_processes.enter_context(_started(self.instance, self.name))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._is_ready(child):
            if child.poll() is not None or time.monotonic() > deadline:
                raise UpgradeFailedError(
                    f"{self.name} of the new code did not come up: {_log(self.instance, self.name)}"
                )
            time.sleep(0.1)
        if self.name != "web":
            self.instance.control.stop(self.name)

    def _is_ready(self, child: subprocess.Popen[bytes]) -> bool:
        """By a pulse of its own or of its pool processes; the web process by an answer."""
        if self.name == "web":
            with contextlib.suppress(OSError):
                return _answers(self.instance)
            return False
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
        pids = [child.pid, *(int(word) for word in (children.read_text() if children.exists() else "").split())]
        return bool(_query(self.instance, _LIVING, [_KINDS.get(self.name, self.name), pids])[0][0])


@contextlib.contextmanager
def _started(instance: RunningInstance, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of the new code beside the instance's own; told to end at the end, with what it forked."""
    argv = [sys.executable, *get_role(name.removesuffix("-2")).arguments]
    argv += ["-n", f"new-{name}@{instance.directory.name}"] if name in _KINDS else []
    with _log(instance, name).open("ab") as log:
        child = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={"DJANGO_SETTINGS_MODULE": "config.settings", **instance.environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=child_setup(Account.SAME, signal.SIGKILL),
            start_new_session=True,
        )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _log(instance: RunningInstance, name: str) -> Path:
    return instance.directory / "logs" / f"new-{name}.log"


def _answers(instance: RunningInstance) -> bool:
    from urllib.request import urlopen

    with urlopen(f"{instance.urls['web']}/health/live", timeout=2) as answer:  # noqa: S310  # loopback
        return bool(answer.status == 200)


async def _judged(
    instance: RunningInstance, client: ApiClient, flow: _Flow
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Wait until nothing is under way, and compare every order with the brokers' own ledgers."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        orders = await client.list_orders()
        positions = (await client.get("/api/v1/positions"))["results"]
        judgement = judge(flow.sent, orders, read_ledgers(instance), positions)
        if judgement.is_clean or time.monotonic() > deadline:
            return judgement.problems(), {one["id"]: one for one in orders}
        await asyncio.sleep(0.5)


def _old_ones(instance: RunningInstance) -> list[str]:
    processes = instance.state()["processes"]
    return [name for name in _REPLACED if processes[name]["pid"] is not None]


def _stage(name: str, flow: _Flow, orders: dict[str, dict[str, Any]]) -> Stage:
    sent = {order: (at, took) for order, (stage, at, took) in flow.sent.items() if stage == name}
    acknowledged = [
        (datetime.fromisoformat(orders[order]["acknowledged_at"]) - at).total_seconds()
        for order, (at, _) in sent.items()
        if order in orders and orders[order]["acknowledged_at"]
    ]
    taken = max((took for _, took in sent.values()), default=0.0)
    return Stage(name, len(sent), round(taken, 2), round(max(acknowledged, default=0.0), 2))


def _order(chance: random.Random) -> dict[str, Any]:
    order = {
        "account": chance.choice(("sim-a", "sim-b")),
        "symbol": chance.choice(_SYMBOLS),
        "side": "buy",
        "quantity": chance.randint(1, 9),
    }
    if chance.random() < 0.25:
        return {**order, "type": "limit", "limit_price": "0.5", "time_in_force": "gtc"}
    return {**order, "type": "market", "time_in_force": "day"}


def _count_migrations(instance: RunningInstance) -> int:
    return int(_query(instance, "SELECT count(*) FROM django_migrations")[0][0])


def _query(instance: RunningInstance, statement: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with psycopg.connect(instance.env["DATABASE_URL"], autocommit=True) as connection:
        return connection.execute(statement, parameters).fetchall()


def show(reference: str | None, *, rate: float, stage_seconds: float, file: Path | None) -> int:
    """Run the drill and print what it found; returns the exit status.

    Raises:
        NoEarlierReleaseError: there is no earlier code.
    """
    console = Console()
    with earlier_release(reference) as release:
        console.print(f"from {release.about}", highlight=False, markup=False)
        if release.locks_differ:
            console.print("it was made for other packages; it runs with those installed here", highlight=False)
        result = run(release, rate=rate, stage_seconds=stage_seconds, say=lambda text: console.print(f"  {text}"))
    console.print(stage_table(result))
    for problem in result.problems[:20]:
        console.print(problem, style="red", highlight=False, markup=False)
    console.print(
        f"{result.orders} orders in {len(result.stages)} stages, {result.migrations} migrations, longest wait "
        f"{result.longest_wait:.1f} s: {len(result.problems) or 'no'} difference(s) from the ledgers",
        highlight=False,
    )
    if file is not None:
        file.write_text(json.dumps(_content(result, rate, stage_seconds), indent=1) + "\n")
    return 1 if result.problems else 0


def stage_table(result: UpgradeResult) -> Table:
    table = Table(title="Orders while old and new code ran side by side", title_justify="left")
    for column in ("stage", "orders", "accepted after s", "at the broker after s"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for one in result.stages:
        table.add_row(one.name, str(one.orders), f"{one.accepted_after:.2f}", f"{one.acknowledged_after:.2f}")
    return table


def _content(result: UpgradeResult, rate: float, stage_seconds: float) -> dict[str, Any]:
    from config.chaos.facts import describe

    return {
        **describe("upgrade-drill", []),
        "benchmark": "upgrade-drill",
        "parameters": {"rate": rate, "stage_seconds": stage_seconds},
        "results": [{**asdict(result), "longest_wait_seconds": result.longest_wait}],
    }
