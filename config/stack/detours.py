"""Addresses that lead through the fault proxy, for an instance that is to be broken on purpose.

With ``STANCHION_CHAOS_PROXY=1`` the application's processes reach PostgreSQL, Valkey and the simulated brokers through
``config.chaos.proxy`` alone. ``worker-orders-2`` has links of its own, so that a partition can part it from the rest.
"""

import os
from urllib.parse import urlsplit, urlunsplit

from config.stack.instance import BROKER_URL, Instance

VARIABLE = "STANCHION_CHAOS_PROXY"
CONTROL = "chaos-control"
APART = "worker-orders-2"
_BROKERS = ("simbroker-a", "simbroker-b", "simbroker-a-backup", "simbroker-b-backup")
LINKS = {
    **{name: name for name in ("postgres", "valkey", *_BROKERS)},
    "postgres-2": "postgres",
    "valkey-2": "valkey",
}
"""The links by name, each with what it leads to."""


def are_on() -> bool:
    return os.environ.get(VARIABLE) == "1"


def proxy_arguments(instance: Instance) -> tuple[str, ...]:
    ports = instance.ports
    links = (f"--link={name}={ports[f'via-{name}']}:{ports[target]}" for name, target in LINKS.items())
    return ("-m", "config.chaos.proxy", "--control", str(ports[CONTROL]), *links)


def detoured(instance: Instance, environment: dict[str, str], suffix: str = "") -> dict[str, str]:
    """Return an environment whose addresses lead through the proxy, where that is wanted."""
    if not are_on():
        return environment
    changed = {
        "DATABASE_URL": _with_port(environment["DATABASE_URL"], instance.ports[f"via-postgres{suffix}"]),
        "REDIS_URL": _with_port(environment["REDIS_URL"], instance.ports[f"via-valkey{suffix}"]),
    }
    if instance.valkey and environment[BROKER_URL].startswith("redis:"):
        changed[BROKER_URL] = _with_port(environment[BROKER_URL], instance.ports[f"via-valkey{suffix}"])
    for variable, name in zip(("A_URL", "B_URL", "A_BACKUP_URL", "B_BACKUP_URL"), _BROKERS, strict=True):
        changed[f"STANCHION_SIM_{variable}"] = f"http://127.0.0.1:{instance.ports[f'via-{name}']}"
    return {**environment, **changed}


def _with_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))
