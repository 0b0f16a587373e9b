"""What scenarios break, and how to tell that it is whole again."""

import random
import time
from collections.abc import Callable
from contextlib import suppress

from config.chaos.stack import Broker, Stack, is_alive, wait_until
from config.chaos.trial import Recovered

Act = Callable[[], Recovered | None]
DATABASE_AWAY_SECONDS = 2.0


def moments(chance: random.Random, count: int) -> list[float]:
    """Draw the shares of the orders after which something strikes."""
    return sorted(chance.uniform(0.05, 0.95) for _ in range(count))


def kill(stack: Stack, name: str) -> Act:
    """Kill a process of the stack, and all it forked; it is back when another one is ready in its place."""

    def act() -> Recovered:
        wait_until(lambda: _running_pid(stack, name), f"{name} runs")
        victim = stack.pid(name)
        stack.kill(victim)
        return lambda: _running_pid(stack, name) not in (None, victim)

    return act


def kill_child(stack: Stack, name: str, chance: random.Random) -> Act:
    """Kill one process that another one forked, such as a pool process of a worker.

    A pool process is killed once it has a pulse: of one that dies before that nobody can know, and it holds no job.
    """

    def act() -> Recovered:
        children: list[int] = []
        victim = 0

        def look() -> list[int]:
            children[:] = stack.children(name)
            if name.startswith("worker"):
                children[:] = [row[0] for row in stack.query(_WITH_PULSE, [children])]
            return children

        while not victim:  # a child may end by itself between the look and the strike
            wait_until(look, f"{name} has children")
            with suppress(ProcessLookupError):
                chosen = chance.choice(children)
                stack.kill(chosen)
                victim = chosen
        return lambda: not is_alive(victim) and len(stack.children(name)) >= len(children)

    return act


_WITH_PULSE = "SELECT pid FROM reliability_heartbeat WHERE pid = ANY(%s) AND ended_at IS NULL"
_HOLDERS = """
SELECT h.pid FROM reliability_job job JOIN reliability_heartbeat h ON h.pulse = job.worker
WHERE job.state = 'running' AND job.kind = %s AND h.ended_at IS NULL
"""


def kill_holder(stack: Stack, kind: str) -> Act:
    """Kill the pool process that holds a job of this kind at the moment."""

    def act() -> Recovered:
        holders: list[int] = []

        def look() -> list[int]:
            holders[:] = [row[0] for row in stack.query(_HOLDERS, [kind])]
            return holders

        wait_until(look, "a job is held")
        victim = holders[0]
        stack.kill(victim)
        return lambda: not is_alive(victim)

    return act


def fault(stack: Stack, broker: Broker, kind: str, **parameters: object) -> Act:
    """Switch a fault of a simulated broker on."""

    def act() -> None:
        stack.fault(broker, kind, **parameters)

    return act


def down(stack: Stack, name: str, seconds: float, signal: str | None = None) -> Act:
    """Stop a process of the stack, keep it away for a while, and start it."""

    def act() -> None:
        stack.instance.control.stop(name, signal)
        time.sleep(seconds)  # the length of the outage
        stack.instance.control.start(name)

    return act


def wipe_redis(stack: Stack) -> Act:
    """Kill Redis, lose its data, and start it empty."""
    return lambda: stack.instance.control.wipe("valkey")


def stop_database_hard(stack: Stack) -> Act:
    """Stop PostgreSQL in immediate mode, as a crash, and start it after two seconds."""
    return down(stack, "postgres", DATABASE_AWAY_SECONDS, "SIGQUIT")


def _running_pid(stack: Stack, name: str) -> int | None:
    pid = stack.instance.control.process(name)["pid"]
    return pid if isinstance(pid, int) and is_alive(pid) else None
