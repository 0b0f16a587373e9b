"""An account whose stream, login, clock, reconciliation or orders go wrong, second by second before the real rules."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from brokers.core.freezes import FreezeCause
from config.simulation.episodes import Episode, Finding, Scenario
from reconciliation.core.freeze import (
    LEAST_LATE,
    STREAM_DOWN_AFTER,
    STREAM_SILENT_AFTER,
    UNKNOWN_AFTER,
    AccountView,
    StreamView,
    UnknownOrder,
    wanted_freezes,
)

START = datetime(2026, 1, 5, 15, tzinfo=UTC)
TICK = 0.5
LENGTH = 700.0
PERIOD = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong from ``begins`` until ``ends``, and the cause and the instant a freeze is due at, if at all."""

    what: str
    begins: float
    ends: float
    cause: FreezeCause | None
    due: float


def _plan(episode: Episode) -> Plan:
    chance = episode.random
    what = chance.choice(("down", "silent", "login", "late", "skew", "unknown", "stuck"))
    limits = {
        "down": (STREAM_DOWN_AFTER, FreezeCause.STREAM_DOWN),
        "silent": (STREAM_SILENT_AFTER, FreezeCause.STREAM_DOWN),
        "login": (timedelta(0), FreezeCause.AUTH_FAILURE),
        "late": (LEAST_LATE, FreezeCause.RECONCILIATION_LATE),
        "skew": (timedelta(0), FreezeCause.CLOCK_SKEW),
        "unknown": (UNKNOWN_AFTER, FreezeCause.UNKNOWN_ORDER),
        "stuck": (timedelta(0), FreezeCause.UNKNOWN_ORDER),
    }
    limit, cause = limits[what]
    begins, seconds = chance.uniform(20, 200), limit.total_seconds()
    if episode.is_fault:
        return Plan(what, begins, LENGTH, cause, begins + seconds)
    what = chance.choice(
        ("down", "silent", "late", "unknown", "small skew", "asked meanwhile", "recovering", "no link")
    )
    short = limits.get(what, (timedelta(0), None))[0].total_seconds() * chance.uniform(0.2, 0.95)
    return Plan(what, begins, begins + (short or 200), None, LENGTH)


def _view(plan: Plan, at: float, chance_offset: float) -> AccountView:
    """Return what is known at a moment: all is well, but for what the plan says."""
    now, wrong = START + timedelta(seconds=at), plan.begins <= at < plan.ends
    began = START + timedelta(seconds=plan.begins)
    calm = START + timedelta(seconds=at - at % 0.25)
    verdict = START + timedelta(seconds=at - at % 60 - 5)
    view = AccountView(
        now,
        "desk",
        StreamView(True, START - timedelta(hours=1), calm),
        snapshot_at=None,
        verdict_at=verdict,
        period=PERIOD,
        skew=timedelta(seconds=chance_offset),
    )
    if not wrong:
        return view
    up = replace(view.stream or StreamView(True, None, None), heard_at=began)
    down = replace(up, is_up=False, error="NETWORK_CONNECTION_LOST")
    order = UnknownOrder("o-1", "AAPL", began)
    return {
        "down": replace(view, stream=down),
        "silent": replace(view, stream=up),
        "login": replace(view, stream=replace(down, heard_at=calm, error="AUTH_INVALID_CREDENTIALS")),
        "late": replace(view, verdict_at=began),
        "skew": replace(view, skew=timedelta(seconds=1.2 + chance_offset * 5)),
        "unknown": replace(view, unknown=(order,)),
        "stuck": replace(view, unknown=(replace(order, is_stuck=True),)),
        "small skew": replace(view, skew=timedelta(seconds=0.99)),
        "asked meanwhile": replace(view, stream=down, snapshot_at=now - timedelta(seconds=2)),
        "recovering": replace(view, unknown=(order,), is_recovering=True),
        "no link": replace(view, unknown=(order,), can_look_up=False),
    }[plan.what]


def play_freezes(episode: Episode) -> tuple[Finding, str]:
    """Something goes wrong for long enough that trading must stop; or it ends in time, or explains itself."""
    plan, offset = _plan(episode), episode.random.uniform(0, 0.3)
    if not episode.is_fault and plan.what == "late":
        plan = replace(plan, ends=plan.begins + min(plan.ends - plan.begins, LEAST_LATE.total_seconds() - 10))
    episode.note(plan.begins, f"truth: {plan.what} until {plan.ends:.1f} s; freeze due: {plan.cause or 'never'}")
    expected = str(plan.cause or "")
    at = plan.begins - 10 - episode.random.uniform(0, TICK)
    while at < min(LENGTH, (plan.due if plan.cause else plan.ends) + 30):
        at += TICK
        view = _view(plan, at, offset)
        if episode.is_blind:
            view = replace(view, stream=None, unknown=(), verdict_at=None, skew=None)
        if episode.is_eager:
            view = replace(view, now=view.now + timedelta(hours=1))
        causes = [str(one.cause) for one in wanted_freezes(view)]
        if causes:
            episode.note(at, f"freeze: {', '.join(causes)}")
            early = ("it was not due yet",) if plan.cause and at < plan.due - TICK else ()
            return Finding(", ".join(sorted(set(causes))), at - plan.due, early), expected
    return Finding(), expected


FREEZE_SCENARIOS = (
    Scenario(
        "freezes",
        "infrastructure",
        "trading stops when a rule says so, within a second, and never before",
        play_freezes,
        1.0,
    ),
)
