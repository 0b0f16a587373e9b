"""Load under failure: orders at a steady rate for minutes, and something broken every so many seconds.

Without the fault proxy, which would slow every byte down. The judge is the same as of every scenario; what is measured
besides is the load itself: how many orders were taken, how long that took, and how fast what piled up was worked off.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from config.chaos.episode import Episode, run_episode
from config.chaos.noise import noise_probe
from config.chaos.records import Records
from config.chaos.run import Say
from config.chaos.scenario import FaultPlan, Load, Scenario
from config.chaos.stack import running_stack
from config.chaos.statistics import percentile

NAME = "load-under-failure"
FIRST_FAULT_SECONDS = 10.0
PLAIN = {"STANCHION_LOG_LEVEL": "WARNING"}
_WINDOW_SECONDS = 10.0

# kind, target, seconds (None: a blow), what shows it, options
_ROTATION: tuple[tuple[str, str, float | None, str, dict[str, object]], ...] = (
    ("kill_holder", "orders.submit", None, "process", {}),
    ("broker", "sim-a", 5.0, "errors:sim-a", {"fault": "drop_reply", "operation": "submit", "probability": 0.2}),
    ("wipe", "valkey", None, "", {}),
    ("broker", "sim-b", 5.0, "errors:sim-b", {"fault": "error", "status": 503}),
    ("kill", "worker-orders", None, "process", {}),
    ("broker", "sim-a", 5.0, "stream:sim-a", {"fault": "stall_streams"}),
    ("stop", "postgres", 1.0, "unready", {"signal": "SIGQUIT"}),
    ("kill_child", "web", None, "", {}),
    ("broker_down", "sim-b", 5.0, "errors:sim-b", {}),
    ("kill", "sentinel", None, "process", {}),
    ("freeze", "worker-orders-2", 5.0, "", {"holding": True}),
    ("kill", "streams", None, "process", {}),
    ("kill", "beat", None, "process", {}),
    ("kill", "worker-general", None, "process", {}),
)


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """What the load went through. Rates are per second; ``drain_seconds`` is the longest after any fault."""

    minutes: float
    asked_rate: float
    accepted_rate: float
    slowest_window_rate: float
    answer_p50: float
    answer_p99: float
    answer_max: float
    acknowledged_p50: float
    acknowledged_p95: float
    acknowledged_max: float
    largest_backlog: int
    drain_seconds: float | None


def scenario_of(rate: float, minutes: float, every: float, seed: int) -> Scenario:
    """Return the scenario: a fault every so many seconds, from the list above in an order that the seed draws."""
    chance = random.Random(f"{NAME}:{seed}")
    faults: list[FaultPlan] = []
    at = FIRST_FAULT_SECONDS
    turn: list[tuple[str, str, float | None, str, dict[str, object]]] = []
    while at < minutes * 60:
        if not turn:
            turn = chance.sample(_ROTATION, len(_ROTATION))
        kind, target, seconds, detect, options = turn.pop()
        faults.append(
            FaultPlan(kind, (at, at), None if seconds is None else (seconds, seconds), target, detect, options)
        )
        at += every
    return Scenario(
        number=0,
        name=NAME,
        title="Steady load, and something breaks again and again",
        expected="Nothing is lost or doubled; what piles up is worked off.",
        load=Load(round(rate * minutes * 60), rate, "market"),
        faults=tuple(faults),
        sharp=("I1", "I2", "I8", "I10"),
        settle_seconds=300.0,
    )


def run_endurance(rate: float, minutes: float, every: float, seed: int, say: Say) -> tuple[Episode, LoadFigures]:
    """Run it on a stack of its own."""
    scenario = scenario_of(rate, minutes, every, seed)
    with running_stack(PLAIN) as stack, noise_probe(stack.instance.directory / "noise") as noise:
        episode = run_episode(stack, scenario, seed, noise, say=say)
    return episode, figures(episode.records, rate, minutes)


def figures(records: Records, rate: float, minutes: float) -> LoadFigures:
    """Return the figures of the load from the client's history and our orders."""
    answers = answer_seconds(records.history) or [0.0]
    accepted = sorted(datetime.fromisoformat(order["accepted_at"]) for order in records.orders)
    waits = [
        (
            datetime.fromisoformat(order["acknowledged_at"]) - datetime.fromisoformat(order["accepted_at"])
        ).total_seconds()
        for order in records.orders
        if order["acknowledged_at"]
    ] or [0.0]
    length = (accepted[-1] - accepted[0]).total_seconds() if len(accepted) > 1 else 0.0
    return LoadFigures(
        minutes=minutes,
        asked_rate=rate,
        accepted_rate=len(accepted) / length if length else 0.0,
        slowest_window_rate=slowest_window(accepted),
        answer_p50=percentile(answers, 0.5),
        answer_p99=percentile(answers, 0.99),
        answer_max=max(answers),
        acknowledged_p50=percentile(waits, 0.5),
        acknowledged_p95=percentile(waits, 0.95),
        acknowledged_max=max(waits),
        largest_backlog=max((size for _, size in backlog(records)), default=0),
        drain_seconds=drain_seconds(records, rate),
    )


def answer_seconds(history: Sequence[tuple[float, str, str]]) -> list[float]:
    """Return, per order, the seconds from sending it to being told that it is accepted, repetitions and all."""
    invoked: dict[str, float] = {}
    found = []
    for at, key, outcome in history:
        if outcome == "invoked":
            invoked.setdefault(key, at)
        elif outcome == "accepted" and key in invoked:
            found.append(at - invoked.pop(key))
    return found


def slowest_window(accepted: Sequence[datetime]) -> float:
    """Return the rate of the ten seconds in which the fewest orders were accepted; the last, torn one is left out."""
    if not accepted:
        return 0.0
    counts = Counter(int((at - accepted[0]).total_seconds() // _WINDOW_SECONDS) for at in accepted)
    whole = [counts[number] for number in range(max(counts))]
    return min(whole, default=len(accepted)) / _WINDOW_SECONDS


def backlog(records: Records) -> list[tuple[datetime, int]]:
    """Return how many orders were accepted and neither acknowledged nor ended, at each change."""
    steps: list[tuple[datetime, int]] = []
    for order in records.orders:
        steps.append((datetime.fromisoformat(order["accepted_at"]), 1))
        if end := order["acknowledged_at"] or order["finished_at"]:
            steps.append((datetime.fromisoformat(end), -1))
    sizes, size = [], 0
    for at, step in sorted(steps):
        size += step
        sizes.append((at, size))
    return sizes


def drain_seconds(records: Records, rate: float) -> float | None:
    """Return the longest time that it took, after any fault, until no more orders waited than arrive in a second.

    It counts from the end of the fault to the last moment before the next one at which more were waiting. None: at the
    end of the run more were waiting still.
    """
    sizes = backlog(records)
    faults = sorted(records.faults, key=lambda fault: fault.on)
    if sizes and sizes[-1][1] > rate:
        return None
    longest = 0.0
    for number, fault in enumerate(faults):
        following = faults[number + 1] if number + 1 < len(faults) else None
        over = fault.off_at if fault.lasting and fault.off_at else fault.began_at
        until = following.began_at if following else datetime.max.replace(tzinfo=UTC)
        late = [at for at, size in sizes if over < at <= until and size > rate]
        longest = max([longest, *((at - over).total_seconds() for at in late)])
    return longest
