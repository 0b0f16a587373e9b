"""Recoveries after faults under load: ``make bench-recovery``, or ``python -m benchmarks.bench_recovery --rounds 3``.

On a stack of its own, orders go to both accounts while something is broken, again and again. A round is over when a
recovery that began after the fault ended well and nothing is frozen by it any more. Then the load pauses, and the
brokers' own ledgers judge the positions. Rounds that are in ``--state`` already are not repeated. Status 1 when a round
did not recover, a position is wrong, or an order was sent during a freeze.
"""

import argparse
import asyncio
import json
import random
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.evidence import machine_line, write_evidence
from config.chaos.load import SYMBOLS, Order
from config.chaos.stack import OWN_SERVERS, Stack, wait_until
from config.chaos.strikes import kill_holder
from config.stack.client import ApiClient
from config.stack.running import running_instance

AIM_SECONDS = 30.0
_OUTAGE_SECONDS = 20.0
_DATABASE_AWAY_SECONDS = 2.0
_GIVE_UP_SECONDS = 150.0
_START_SECONDS = 300.0
_NOTICED_SECONDS = 5.0
_POLL_SECONDS = 0.05
_SETTLE_SECONDS = 40.0
console = Console()

# Of each account: whether a run began after an instant and ended well, and what is still to be waited for.
_STANDING = """
SELECT a.name,
       (SELECT max(r.finished_at) FROM reconciliation_recoveryrun r
        WHERE r.account_id = a.id AND r.state = 'recovered' AND r.started_at > %(since)s),
       EXISTS (SELECT 1 FROM reconciliation_recoveryrun r WHERE r.account_id = a.id AND r.state = 'running')
       OR EXISTS (SELECT 1 FROM reconciliation_recoverytrigger t WHERE t.account_id = a.id AND t.run_id IS NULL)
       OR EXISTS (SELECT 1 FROM brokers_freeze f WHERE f.account_id = a.id AND f.released_at IS NULL)
FROM brokers_account a WHERE a.enabled ORDER BY a.name
"""
# Orders marked as being sent after an instant at which a freeze that covers them was in force, and before its release.
_SENT_IN_FREEZE = """
SELECT o.id, f.id FROM brokers_freeze f
JOIN brokers_freezeevent e ON e.freeze_id = f.id AND e.kind = 'in_force'
JOIN brokers_account a ON a.id = f.account_id OR a.broker_id = f.broker_id
     OR (f.account_id IS NULL AND f.broker_id IS NULL)
JOIN brokers_order o ON o.account_id = a.id AND (f.symbol = '' OR f.symbol = o.symbol)
WHERE f.mode = 'halt' AND o.sent_at > e.recorded_at AND (f.released_at IS NULL OR o.sent_at < f.released_at)
"""
_UNSETTLED = """
SELECT count(*) FROM brokers_order
WHERE finished_at IS NULL AND state IN ('accepted', 'sending', 'unknown') OR reported_filled_quantity > filled_quantity
"""
_POSITIONS = """
SELECT a.name, p.symbol, p.quantity FROM brokers_position p JOIN brokers_account a ON a.id = p.account_id
WHERE p.quantity <> 0
"""
_FROZEN = """
SELECT coalesce(extract(epoch FROM sum(coalesce(released_at, clock_timestamp()) - frozen_at)), 0)::float, count(*)
FROM brokers_freeze WHERE frozen_at > %(since)s
"""


@dataclass(frozen=True)
class Round:
    """One fault: seconds from its end and from its beginning to the end of the last recovery, and what was wrong."""

    fault: str
    number: int
    seconds: float | None
    since_begin: float | None
    frozen_seconds: float
    freezes: int
    wrong_positions: list[str]
    orders: int


class Load:
    """Orders at a steady rate from a thread of its own; whoever is refused for a moment insists."""

    def __init__(self, stack: Stack, rate: float) -> None:
        self._stack, self._rate = stack, rate
        self._paused, self._over = threading.Event(), threading.Event()
        self._idle = threading.Event()
        self.accepted = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def pause(self) -> None:
        self._paused.set()
        self._idle.wait(30)

    def resume(self) -> None:
        self._idle.clear()
        self._paused.clear()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(60)

    async def _run(self) -> None:
        chance = random.Random(1)
        prefix = secrets.token_hex(4)
        number = 0
        environment = self._stack.instance.env
        async with ApiClient(self._stack.instance.urls["web"], environment["STANCHION_API_TOKEN"]) as client:
            while not self._over.is_set():
                if self._paused.is_set():
                    self._idle.set()
                    await asyncio.sleep(0.05)
                    continue
                number += 1
                await client.submit(f"recovery-{prefix}-{number}", _order(chance))
                self.accepted += 1
                await asyncio.sleep(1 / self._rate)


def _order(chance: random.Random) -> Order:
    order: Order = {"account": chance.choice(("sim-a", "sim-b")), "symbol": chance.choice(SYMBOLS)}
    side = "buy" if chance.random() < 0.7 else "sell"
    return {**order, "side": side, "type": "market", "time_in_force": "day", "quantity": chance.randint(1, 4)}


Fault = Callable[[Stack], float]


def _outage(stack: Stack) -> float:
    stack.instance.control.stop("simbroker-a", "SIGKILL")
    time.sleep(_OUTAGE_SECONDS)  # the length of the outage
    stack.instance.control.start("simbroker-a")
    return time.time()


def _cut_streams(stack: Stack) -> float:
    stack.fault("a", "disconnect_streams")
    return time.time()


_DEATHS = "SELECT count(*) FROM reconciliation_recoverytrigger WHERE kind = 'process_died'"


def _kill_worker(stack: Stack) -> float:
    """Kill a pool process that holds orders; where its work ended just before the kill, kill another one."""
    before = stack.query(_DEATHS)[0][0]
    while True:
        back = kill_holder(stack, "orders.submit")()
        killed = time.time()
        assert back is not None
        wait_until(back, "the victim is dead")
        noticed_by = time.monotonic() + _NOTICED_SECONDS
        while time.monotonic() < noticed_by:
            if stack.query(_DEATHS)[0][0] > before:
                return killed
            time.sleep(_POLL_SECONDS)


def _wipe_redis(stack: Stack) -> float:
    stack.instance.control.wipe("valkey")
    return time.time()


def _restart_database(stack: Stack) -> float:
    stack.instance.control.stop("postgres", signal.Signals.SIGQUIT.name)
    time.sleep(_DATABASE_AWAY_SECONDS)  # the length of the outage
    stack.instance.control.start("postgres")
    return time.time()


# What is broken, how, and which accounts have to be recovered by it: any one of them, or each.
FAULTS: dict[str, tuple[Fault, tuple[str, ...], bool]] = {
    "outage": (_outage, ("sim-a",), True),
    "stream-cut": (_cut_streams, ("sim-a",), True),
    "worker-kill": (_kill_worker, ("sim-a", "sim-b"), False),
    "redis-wipe": (_wipe_redis, ("sim-a", "sim-b"), True),
    "postgres-restart": (_restart_database, ("sim-a", "sim-b"), True),
}


def run_round(stack: Stack, load: Load, fault: str, number: int) -> Round:
    act, accounts, each = FAULTS[fault]
    wait_until(lambda: not _busy(stack) and not stack.not_healthy(), "everything is recovered before", 120)
    before = load.accepted
    since = _now(stack)
    began = time.time()
    ended = act(stack)
    finished = _wait_recovered(stack, since, accounts, each=each)
    load.pause()
    wrong = _wrong_positions(stack)
    seconds, freezes = stack.query(_FROZEN, {"since": since})[0]
    load.resume()
    return Round(
        fault,
        number,
        None if finished is None else max(0.0, finished - ended),
        None if finished is None else finished - began,
        seconds,
        freezes,
        wrong,
        load.accepted - before,
    )


def _now(stack: Stack) -> Any:
    return stack.query("SELECT clock_timestamp()")[0][0]


def _busy(stack: Stack) -> bool:
    try:
        return any(waits for _, _, waits in stack.query(_STANDING, {"since": _now(stack)}))
    except psycopg.OperationalError:
        return True


def _wait_recovered(stack: Stack, since: Any, accounts: tuple[str, ...], *, each: bool) -> float | None:
    """Return when the last of the recoveries that the fault called for ended; None when they do not end."""
    deadline = time.monotonic() + _GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        try:
            standing = {name: (at, waits) for name, at, waits in stack.query(_STANDING, {"since": since})}
        except psycopg.OperationalError:
            standing = {}
        ends = [standing[name][0] for name in accounts if name in standing and standing[name][0] is not None]
        enough = len(ends) == len(accounts) if each else bool(ends)
        if enough and not any(waits for _, waits in standing.values()):
            return float(max(end.timestamp() for end in ends))
        time.sleep(_POLL_SECONDS)
    return None


def _wrong_positions(stack: Stack) -> list[str]:
    """Return the positions that are not what the brokers' own ledgers say, once nothing is under way."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    wrong = ["never looked"]
    while wrong and time.monotonic() < deadline:
        if stack.query(_UNSETTLED)[0][0]:
            time.sleep(_POLL_SECONDS * 4)
            continue
        ours = {(account, symbol): quantity for account, symbol, quantity in stack.query(_POSITIONS)}
        theirs = {
            (account, symbol): quantity
            for account, ledger in stack.ledgers().items()
            for symbol, quantity in ledger.net_positions().items()
            if quantity
        }
        wrong = [
            f"{account} {symbol}: {ours.get((account, symbol), 0)} here, {theirs.get((account, symbol), 0)} there"
            for account, symbol in sorted(ours.keys() | theirs.keys())
            if ours.get((account, symbol), 0) != theirs.get((account, symbol), 0)
        ]
        time.sleep(_POLL_SECONDS)
    return wrong


def _share(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summarize(rounds: list[Round]) -> dict[str, Any]:
    """Return the distribution of one fault's rounds, in seconds from the end of the fault."""
    ended = [one.seconds for one in rounds if one.seconds is not None]
    return {
        "fault": rounds[0].fault,
        "rounds": len(rounds),
        "not_recovered": len(rounds) - len(ended),
        "median_seconds": median(ended) if ended else None,
        "p95_seconds": _share(ended, 0.95) if ended else None,
        "max_seconds": max(ended, default=None),
        "wrong_positions": sum(len(one.wrong_positions) for one in rounds),
        "frozen_seconds_median": median(one.frozen_seconds for one in rounds),
        "seconds": [None if one.seconds is None else round(one.seconds, 2) for one in rounds],
    }


def show(summaries: list[dict[str, Any]], sent_in_freeze: int, figures: list[Any]) -> None:
    table = Table(title="Recovered, seconds after the end of the fault")
    for name in ("fault", "rounds", "not recovered", "median", "p95", "max", "wrong positions", "frozen, median"):
        table.add_column(name, justify="left" if name == "fault" else "right")
    for one in summaries:
        numbers = (one["median_seconds"], one["p95_seconds"], one["max_seconds"])
        table.add_row(
            one["fault"],
            str(one["rounds"]),
            str(one["not_recovered"]),
            *("—" if value is None else f"{value:.1f}" for value in numbers),
            str(one["wrong_positions"]),
            f"{one['frozen_seconds_median']:.1f}",
        )
    console.print(table)
    console.print(f"orders sent during a freeze: {sent_in_freeze}; by the rows: {figures}", highlight=False)
    for one in summaries:
        console.print(f"{one['fault']}: {sorted(value for value in one['seconds'] if value is not None)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of each fault (20)")
    parser.add_argument("--faults", default=",".join(FAULTS), help="which, comma separated (all)")
    parser.add_argument("--rate", type=float, default=10.0, help="orders a second while it runs (10)")
    parser.add_argument("--minutes", type=float, default=0, help="begin no further round after so long (no limit)")
    parser.add_argument("--state", type=Path, help="keep each round in this file, and do not repeat those in it")
    parser.add_argument("--out", type=Path, help="write the result as JSON, as docs/evidence/ keeps it")
    options = parser.parse_args()
    rounds = _read(options.state)
    sent_in_freeze = sum(one.pop("sent_in_freeze", 0) for one in _notes(options.state))
    figures: list[Any] = []
    over = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    with _running_stack() as stack:
        load = Load(stack, options.rate)
        load.start()
        for number, fault in _missing(rounds, options.faults.split(","), options.rounds):
            if time.monotonic() > over:
                break
            one = run_round(stack, load, fault, number)
            rounds.append(one)
            _keep(options.state, asdict(one))
            took = "not recovered" if one.seconds is None else f"{one.seconds:.1f} s"
            console.print(f"{fault} {number}: {took}; frozen {one.frozen_seconds:.1f} s {one.wrong_positions or ''}")
        load.stop()
        found = stack.query(_SENT_IN_FREEZE)
        sent_in_freeze += len(found)
        figures = stack.query("SELECT state, count(*) FROM reconciliation_recoveryrun GROUP BY state ORDER BY state")
        _keep(options.state, {"sent_in_freeze": len(found), "runs": figures})
    summaries = [
        summarize([one for one in rounds if one.fault == fault]) for fault in dict.fromkeys(r.fault for r in rounds)
    ]
    console.print(machine_line(), highlight=False)
    show(summaries, sent_in_freeze, figures)
    if options.out:
        parameters = {"rate": options.rate, "outage_seconds": _OUTAGE_SECONDS, "aim_seconds": AIM_SECONDS}
        write_evidence(options.out, "recovery", {**parameters, "orders_sent_during_freeze": sent_in_freeze}, summaries)
    bad = sent_in_freeze or any(one["not_recovered"] or one["wrong_positions"] for one in summaries)
    late = any(one["p95_seconds"] is None or one["p95_seconds"] >= AIM_SECONDS for one in summaries)
    return 1 if bad or late else 0


@contextmanager
def _running_stack() -> Iterator[Stack]:
    """Start a stack and wait as long as a busy machine needs."""
    with running_instance(environment=OWN_SERVERS, without=["flower"]) as instance:
        stack = Stack(instance)
        wait_until(lambda: not stack.not_healthy(), "the stack is healthy", _START_SECONDS)
        yield stack


def _missing(rounds: list[Round], faults: list[str], wanted: int) -> Iterator[tuple[int, str]]:
    """Return the rounds still to be made, every fault in turn, so that a measurement cut short has some of each."""
    done = {fault: sum(one.fault == fault for one in rounds) for fault in faults}
    for number in range(1, wanted + 1):
        for fault in faults:
            if number > done[fault]:
                yield number, fault


def _lines(path: Path | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path is not None and path.exists() else []


def _read(path: Path | None) -> list[Round]:
    return [Round(**line) for line in _lines(path) if "fault" in line]


def _notes(path: Path | None) -> list[dict[str, Any]]:
    return [line for line in _lines(path) if "sent_in_freeze" in line]


def _keep(path: Path | None, line: dict[str, Any]) -> None:
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.exit(main())
