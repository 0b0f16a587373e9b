"""Recovery runs, without a database: what starts one, what it does, and what its verdict rests on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class TriggerKind(StrEnum):
    """Why an account is to be recovered."""

    STREAM_RETURNED = "stream_returned"
    BROKER_RETURNED = "broker_returned"
    PROCESS_DIED = "process_died"
    DATABASE_RESTARTED = "database_restarted"
    DATABASE_RETURNED = "database_returned"
    HOST_RESTARTED = "host_restarted"
    MEMORY_LOST = "memory_lost"
    MEMORY_RETURNED = "memory_returned"
    PERSON = "person"


# After these something may have happened at the broker that is not recorded, so positions are uncertain.
UNCERTAIN = frozenset(
    {
        TriggerKind.STREAM_RETURNED,
        TriggerKind.BROKER_RETURNED,
        TriggerKind.DATABASE_RESTARTED,
        TriggerKind.DATABASE_RETURNED,
        TriggerKind.HOST_RESTARTED,
    }
)
# What a run has seen before one of these is worth nothing; after the others a run goes on to its end.
VOIDING = frozenset(
    {
        TriggerKind.STREAM_RETURNED,
        TriggerKind.DATABASE_RESTARTED,
        TriggerKind.DATABASE_RETURNED,
        TriggerKind.HOST_RESTARTED,
        TriggerKind.PERSON,
    }
)


def needs_freeze(kinds: Collection[TriggerKind], *, stream_is_up: bool, is_untouched: bool) -> bool:
    """Return whether trading on an account is frozen while a run for these triggers finds out what happened.

    Calls that failed hide nothing from a stream that stood all the time, and an account without any
    order has nothing to be missed.
    """
    hiding = UNCERTAIN - {TriggerKind.BROKER_RETURNED} if stream_is_up else UNCERTAIN
    return not is_untouched and bool(hiding & set(kinds))


class RecoveryState(StrEnum):
    """``SUPERSEDED``: a newer disconnect made it worthless, and a newer run does it again."""

    RUNNING = "running"
    RECOVERED = "recovered"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class Action(StrEnum):
    """The steps of a recovery run, in their order."""

    CONNECTION = "connection"
    SUBSCRIPTIONS = "subscriptions"
    SNAPSHOT = "snapshot"
    UNKNOWN_ORDERS = "unknown_orders"
    OPEN_ORDERS = "open_orders"
    FILLS = "fills"
    POSITIONS = "positions"
    BALANCES = "balances"
    MARKET_DATA = "market_data"
    INTEGRITY = "integrity"
    UNFREEZE = "unfreeze"
    NOTIFY = "notify"


# What is independent shares a stage; the next begins when all of the last one are done. Trading is frozen for as
# long as this takes, so stages are few: positions wait by themselves for the fills they need.
STAGES: tuple[tuple[Action, ...], ...] = (
    (Action.CONNECTION, Action.SUBSCRIPTIONS),
    (Action.SNAPSHOT,),
    (
        Action.UNKNOWN_ORDERS,
        Action.OPEN_ORDERS,
        Action.FILLS,
        Action.POSITIONS,
        Action.BALANCES,
        Action.MARKET_DATA,
    ),
    (Action.INTEGRITY,),
    (Action.UNFREEZE,),
    (Action.NOTIFY,),
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the watch saw of the machines it stands on.

    ``memory_token`` is a mark it left in Redis, None while Redis is away; ``seen_at`` is when it looked; ``watcher`` is
    the process that did, and ``lost_database`` whether it failed to look since it last could.
    """

    seen_at: datetime
    database_started_at: datetime
    boot_id: str
    memory_token: str | None
    memory_away: bool = False
    watcher: str = ""
    lost_database: bool = False


@dataclass(frozen=True, slots=True)
class Disruption:
    """Something that concerns every account; ``key`` is the same however often it is noticed."""

    kind: TriggerKind
    key: str
    reason: str
    since: datetime


UNWATCHED_AFTER = timedelta(seconds=10)


def notice(before: Surroundings, now: Surroundings) -> list[Disruption]:
    """Return what happened between two looks.

    A restarted host restarts what runs on it, so the worst is told and not each. That a process which goes on
    looking is slow means that the machine is busy, and nothing else.
    """
    found = []
    away = now.seen_at - before.seen_at
    if now.boot_id != before.boot_id:
        reason = "The machine of the watch was restarted, or another machine watches now."
        found.append(Disruption(TriggerKind.HOST_RESTARTED, f"host:{now.boot_id}", reason, before.seen_at))
    elif now.database_started_at != before.database_started_at:
        key = f"database:{now.database_started_at.isoformat()}"
        found.append(Disruption(TriggerKind.DATABASE_RESTARTED, key, "PostgreSQL was started again.", before.seen_at))
    elif now.lost_database or (now.watcher != before.watcher and away > UNWATCHED_AFTER):
        reason = f"Nobody could look into the database for {away.total_seconds():.0f} s."
        key = f"unwatched:{before.seen_at.isoformat()}"
        found.append(Disruption(TriggerKind.DATABASE_RETURNED, key, reason, before.seen_at))
    if now.memory_token is not None and now.memory_token != before.memory_token:
        reason = "Redis lost its data."
        found.append(Disruption(TriggerKind.MEMORY_LOST, f"memory:{now.memory_token}", reason, before.seen_at))
    elif now.memory_token is not None and before.memory_away:
        key = f"memory:{now.memory_token}:{before.seen_at.isoformat()}"
        found.append(Disruption(TriggerKind.MEMORY_RETURNED, key, "Redis is back with its data.", before.seen_at))
    return found


class Starting(StrEnum):
    """What becomes of triggers that wait."""

    WAIT = "wait"
    START = "start"
    SUPERSEDE = "supersede"


def decide_start(waiting: Sequence[TriggerKind], *, is_running: bool) -> Starting:
    """Return whether waiting triggers start a run now: one at a time runs on an account, unless it is void."""
    if not waiting:
        return Starting.WAIT
    if not is_running:
        return Starting.START
    return Starting.SUPERSEDE if VOIDING & set(waiting) else Starting.WAIT


@dataclass(frozen=True, slots=True)
class PositionLook:
    """One comparison of positions: broker minus ours by symbol, only where they differ."""

    differences: Mapping[str, Decimal]


def lasting_differences(looks: Sequence[PositionLook], *, needed: int) -> dict[str, Decimal]:
    """Return the differences that were the same, and not zero, in each of the last ``needed`` looks.

    While fills are under way a difference changes from look to look; one that is wrong stays.
    """
    if len(looks) < needed:
        return {}
    last = looks[-needed:]
    return {
        symbol: difference
        for symbol, difference in last[-1].differences.items()
        if all(look.differences.get(symbol) == difference for look in last)
    }


@dataclass(frozen=True, slots=True)
class IntegrityFacts:
    """What the verdict rests on; each is empty or zero in an account whose books balance.

    ``unknown_orders`` were unknown before the run; ``unbooked_orders`` have fills that were reported and
    not booked; ``unbalanced`` symbols are not the sum of their events and fills; ``differing`` ones are not what
    the broker holds; ``differing_cash`` is not what executions and cash entries explain; ``broken_orders`` are not
    what their events make them; ``broken_seals`` tells of rows that are not as they were sealed; ``open_gaps`` is of
    market data.
    """

    unknown_orders: tuple[str, ...] = ()
    unbooked_orders: tuple[str, ...] = ()
    unbalanced: tuple[str, ...] = ()
    differing: Mapping[str, str] = field(default_factory=dict)
    differing_cash: Mapping[str, str] = field(default_factory=dict)
    broken_orders: tuple[str, ...] = ()
    broken_seals: tuple[str, ...] = ()
    open_gaps: int = 0


@dataclass(frozen=True, slots=True)
class IntegrityVerdict:
    """``findings`` are sentences for a person, none when all is well."""

    findings: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return not self.findings


def judge_integrity(facts: IntegrityFacts) -> IntegrityVerdict:
    """Return the verdict on an account after its recovery; any doubt makes it fail."""
    findings = []
    if facts.unknown_orders:
        findings.append(f"{len(facts.unknown_orders)} orders are still unknown: {_some(facts.unknown_orders)}.")
    if facts.unbooked_orders:
        findings.append(f"Fills of {len(facts.unbooked_orders)} orders are not booked: {_some(facts.unbooked_orders)}.")
    if facts.unbalanced:
        findings.append(f"Positions are not the sum of their fills: {_some(facts.unbalanced)}.")
    if facts.differing:
        told = [f"{symbol} {difference}" for symbol, difference in sorted(facts.differing.items())]
        findings.append(f"Positions differ from the broker's by: {_some(told)}.")
    if facts.differing_cash:
        told = [f"{difference} {currency}" for currency, difference in sorted(facts.differing_cash.items())]
        findings.append(f"Cash differs from what executions and cash entries explain by: {_some(told)}.")
    if facts.broken_orders:
        findings.append(
            f"{len(facts.broken_orders)} orders are not what their events make them: {_some(facts.broken_orders)}."
        )
    if facts.broken_seals:
        findings.append(
            f"{len(facts.broken_seals)} rows of the history are not as they were sealed: {_some(facts.broken_seals)}"
        )
    if facts.open_gaps:
        findings.append(f"{facts.open_gaps} gaps in market data are open.")
    return IntegrityVerdict(tuple(findings))


_MOST_NAMED = 5


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


@dataclass(frozen=True, slots=True)
class RecoveryFigures:
    """Recoveries of a period: how many ended how, and how long those that recovered took, in seconds.

    ``automatic_rate`` is the share that recovered without a person, None when none ended.
    """

    recovered: int
    by_person: int
    failed: int
    superseded: int
    running: int
    mttr_seconds: float | None
    median_seconds: float | None
    p95_seconds: float | None

    @property
    def automatic_rate(self) -> float | None:
        ended = self.recovered + self.by_person + self.failed
        return self.recovered / ended if ended else None
