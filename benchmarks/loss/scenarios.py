"""What happens to a subject in a loss run: the load, the kills, and how the naive Celery worker is set."""

import random
from dataclasses import dataclass, field
from enum import Enum


class Kill(Enum):
    """What is killed, each time with SIGKILL unless noted."""

    WORKERS = "workers"  # one worker process with all its children
    CHILD = "child"  # one process that carries out orders, its parent lives
    REDIS = "redis"  # the message broker
    POSTGRES = "postgres"  # crash restart: immediate stop, no checkpoint


@dataclass(frozen=True, slots=True)
class CelerySettings:
    """How the naive worker is set. ``visibility_timeout`` is in seconds; ``fast_sweep`` looks for it every second."""

    late_ack: bool = True
    prefetch: int = 1
    visibility_timeout: int = 5
    fast_sweep: bool = True
    retry: bool = False
    cancel_on_connection_loss: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table.

    ``orders`` None takes the number given on the command line. Orders arrive at ``rate`` per second and
    are answered by the broker after ``answer_ms``; ``delay_seconds`` asks for carrying out that much later.
    ``appendonly`` makes Redis keep a file. ``drain_seconds`` bounds the wait at the end.
    """

    note: str
    kills: dict[Kill, int] = field(default_factory=dict)
    orders: int | None = None
    rate: float = 120.0
    answer_ms: float = 16.0
    delay_seconds: float = 0.0
    appendonly: bool = False
    drain_seconds: float = 45.0
    celery: CelerySettings = CelerySettings()


_W, _C, _R, _P = Kill.WORKERS, Kill.CHILD, Kill.REDIS, Kill.POSTGRES
_RETRY = CelerySettings(retry=True)
_AS_SHIPPED = CelerySettings(late_ack=False, prefetch=4, visibility_timeout=3600, fast_sweep=False)
_HOUR = CelerySettings(visibility_timeout=3600, fast_sweep=False)
SCENARIOS = {
    "workers_early_ack": Scenario("Celery's defaults (early ack)", {_W: 5}, drain_seconds=20, celery=_AS_SHIPPED),
    "workers_vt_1h": Scenario("late ack, visibility timeout 1 h", {_W: 5}, drain_seconds=20, celery=_HOUR),
    "workers": Scenario("late ack, visibility timeout 5 s", {_W: 5}),
    "child": Scenario("pool child alone", {_C: 8}, drain_seconds=20, celery=_HOUR),
    "redis": Scenario("Redis without persistence", {_R: 5}),
    "redis_aof": Scenario("Redis appendonly", {_R: 5}, appendonly=True),
    "workers_redis": Scenario("workers and Redis without persistence", {_W: 4, _R: 4}),
    "workers_redis_aof": Scenario("workers and Redis appendonly", {_W: 4, _R: 4}, appendonly=True),
    "workers_redis_aof_cancel": Scenario(
        "same, running tasks canceled when Redis is lost",
        {_W: 4, _R: 4},
        appendonly=True,
        celery=CelerySettings(cancel_on_connection_loss=True),
    ),
    "postgres": Scenario("PostgreSQL crash, task without retry", {_P: 3}),
    "postgres_retry": Scenario("PostgreSQL crash, autoretry and backoff", {_P: 3}, celery=_RETRY),
    "everything": Scenario("all three, Redis without persistence, autoretry", {_W: 4, _R: 3, _P: 2}, celery=_RETRY),
    "everything_aof": Scenario(
        "all three, Redis appendonly, autoretry", {_W: 4, _R: 3, _P: 2}, appendonly=True, celery=_RETRY
    ),
    "slow_answers": Scenario(
        "no kill: answers after 4 s, visibility timeout 2 s",
        orders=24,
        rate=50,
        answer_ms=4000,
        drain_seconds=90,
        celery=CelerySettings(visibility_timeout=2),
    ),
    "scheduled": Scenario(
        "no kill: due in 15 s, visibility timeout 4 s",
        orders=200,
        rate=200,
        delay_seconds=15,
        drain_seconds=60,
        celery=CelerySettings(visibility_timeout=4),
    ),
}


def plan_kills(scenario: Scenario, orders: int, seed: int) -> list[tuple[float, Kill]]:
    """Return when, in seconds after the first order, what is killed: spread over the load, the same for a seed."""
    draw = random.Random(seed)
    kinds = [kind for kind, count in scenario.kills.items() for _ in range(count)]
    draw.shuffle(kinds)
    span = orders / scenario.rate
    return [(span * (place + 0.5 + draw.uniform(-0.3, 0.3)) / len(kinds), kind) for place, kind in enumerate(kinds)]
