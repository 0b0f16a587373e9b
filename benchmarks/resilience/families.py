"""Whose calls are measured: each family runs in a process of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.resilience import floors, peers, product
from benchmarks.resilience.loops import Case


@dataclass(frozen=True, slots=True)
class Family:
    """Cases that share a process; ``packages`` are the distributions they need."""

    cases: Callable[[str], Iterator[Case]]
    packages: tuple[str, ...] = ()


FAMILIES = {
    "floors": Family(floors.cases),
    "stanchion": Family(product.cases),
    "pybreaker": Family(peers.pybreaker_cases, ("pybreaker",)),
    "circuitbreaker": Family(peers.circuitbreaker_cases, ("circuitbreaker",)),
    "purgatory": Family(peers.purgatory_cases, ("purgatory",)),
    "interlock-cb": Family(peers.interlock_cases, ("interlock-cb",)),
    "nopanic": Family(peers.nopanic_cases, ("nopanic",)),
    "nopanic-redis": Family(peers.nopanic_redis_cases, ("nopanic", "nopanic-redis")),
    "tenacity": Family(peers.tenacity_cases, ("tenacity",)),
    "stamina": Family(peers.stamina_cases, ("stamina",)),
    "backoff": Family(peers.backoff_cases, ("backoff",)),
}
