"""Processes killed with -9 at random moments."""

import os
import random
import signal
from collections.abc import Callable

import pytest

from tests.acceptance.stack import Stack, is_alive
from tests.acceptance.trial import Recovered, Strike, draws, run_trial


def moments(chance: random.Random, count: int) -> list[float]:
    """Draw the shares of the orders after which something strikes."""
    return sorted(chance.uniform(0.05, 0.95) for _ in range(count))


def kill(stack: Stack, name: str) -> Callable[[], Recovered]:
    """Kill a process of the stack, and all it forked; it is back when another one is ready in its place."""

    def act() -> Recovered:
        stack.instance.control.wait(name, lambda entry: entry["pid"] is not None, 60.0)
        victim = stack.pid(name)
        os.kill(victim, signal.SIGKILL)
        return lambda: stack.instance.control.process(name)["pid"] not in (None, victim)

    return act


def kill_child(stack: Stack, name: str, chance: random.Random) -> Callable[[], Recovered]:
    """Kill one process that another one forked, such as a pool process of a worker."""

    def act() -> Recovered:
        children = stack.children(name)
        victim = chance.choice(children)
        os.kill(victim, signal.SIGKILL)
        return lambda: not is_alive(victim) and len(stack.children(name)) == len(children)

    return act


def test_pool_processes_of_a_worker_die(stack: Stack) -> None:
    chance = draws("pool process killed")
    strikes = [
        Strike(share, "kill -9 a pool process", kill_child(stack, "worker-orders", chance))
        for share in moments(chance, 3)
    ]
    run_trial(stack, "pool process killed", strikes).require_clean()


@pytest.mark.parametrize("name", ["worker-orders", "sentinel", "beat", "streams"])
def test_a_process_dies(stack: Stack, name: str) -> None:
    title = f"{name} killed"
    chance = draws(title)
    strikes = [Strike(share, f"kill -9 {name}", kill(stack, name)) for share in moments(chance, 2)]
    run_trial(stack, title, strikes).require_clean()
