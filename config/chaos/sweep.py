"""Before and after each scenario: is anything broken on purpose still in force?"""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psycopg
import redis

from config.chaos.faults.tracing import tracer_of
from config.chaos.market import switch_feeds_off
from config.chaos.stack import Stack, descendants

_MOVED = (
    "SELECT name, base_url FROM brokers_broker WHERE base_url LIKE 'https://localhost%' OR base_url LIKE '%.invalid'"
)


def find_dirt(stack: Stack) -> list[str]:
    """Return what a fault left behind: switches, frozen and traced processes, changed settings of the servers."""
    found = [f"fault {kind} at a broker" for kind in stack.active_faults()]
    found += [f"toxic {toxic['kind']} of {toxic['link']}" for toxic in stack.toxics()]
    for name, pid in processes(stack).items():
        if pid is None:
            found.append(f"{name} does not run")
            continue
        for one in (pid, *descendants(pid)):
            found += [f"process {one} of {name} is {state}" for state in _odd_state(one)]
    if stack.query("SHOW default_transaction_read_only") != [("off",)]:
        found.append("PostgreSQL is read-only")
    found += [f"the address of {name} is {url}" for name, url in stack.query(_MOVED)]
    with redis.Redis.from_url(stack.instance.env["REDIS_URL"], socket_timeout=5) as client:
        for name, usual in (("maxmemory", "0"), ("min-replicas-to-write", "0")):
            if client.config_get(name)[name] != usual:
                found.append(f"Valkey has {name} {client.config_get(name)[name]}")
    return found


def clean(stack: Stack) -> None:
    """Take back what can be taken back from outside."""
    stack.clear_faults()
    stack.clear_toxics()
    for pid in processes(stack).values():
        for one in (pid, *descendants(pid)) if pid else ():
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)
    with suppress(psycopg.OperationalError):  # the database is away, which the look for dirt will tell
        switch_feeds_off(stack)


def processes(stack: Stack) -> dict[str, int | None]:
    """Return the process id of every service of the stack."""
    entries = stack.instance.state()["processes"]
    return {name: entry["pid"] for name, entry in entries.items() if entry["state"] != "ended"}


def _odd_state(pid: int) -> list[str]:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return ["stopped"] * (state == "T") + ["traced"] * (state == "t" or tracer_of(pid) != 0)
