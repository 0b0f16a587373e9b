"""When trading is frozen by itself, and when such a freeze ends: policy over facts, without a database.

Overfills and orders placed elsewhere freeze where they are booked, an unreachable broker where its streams are
watched, differences where they are found; here is what only time tells.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from brokers.core.freezes import FreezeCause, FreezeMode
from brokers.core.halts import Scope, ScopeKind

STREAM_DOWN_AFTER = timedelta(seconds=3)
STREAM_SILENT_AFTER = timedelta(seconds=10)
LOGIN_REFUSED_AFTER = timedelta(seconds=10)  # a login that a broker mislays for a moment is no reason to stop
UNKNOWN_AFTER = timedelta(seconds=30)
LEAST_LATE = timedelta(minutes=5)
PERIODS_LATE = 2
MOST_SKEW = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class StreamView:
    """An order stream; ``heard_at`` is its last sign of life, ``connected_at`` since when it has stood."""

    is_up: bool
    connected_at: datetime | None
    heard_at: datetime | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class UnknownOrder:
    """An order whose outcome nobody knows; ``is_stuck``: nobody looks for it any more, a person decides."""

    order_id: str
    symbol: str
    sent_at: datetime
    is_stuck: bool = False


@dataclass(frozen=True, slots=True)
class RefusedLogin:
    """Calls that a broker refused for their credentials, from the first to the last, with what it said."""

    since: datetime
    until: datetime
    error: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """What is known of one account at ``now``. What is None is not judged.

    ``snapshot_at`` is when it was last asked for everything; ``recovered_at`` when the last recovery ended;
    ``can_look_up`` whether its broker takes look-ups; ``verdict_at`` when a reconciliation last came to a verdict, and
    ``period`` how often one is due; ``added_at`` is since when the account is known here. ``skew`` is how far the
    broker's clock is ahead of ours, negative behind. ``login`` tells of calls that were refused for their login,
    and after which nobody has let the account go on.
    """

    now: datetime
    account: str
    stream: StreamView | None = None
    snapshot_at: datetime | None = None
    is_recovering: bool = False
    recovered_at: datetime | None = None
    can_look_up: bool = True
    unknown: tuple[UnknownOrder, ...] = ()
    verdict_at: datetime | None = None
    period: timedelta | None = None
    skew: timedelta | None = None
    added_at: datetime | None = None
    login: RefusedLogin | None = None


@dataclass(frozen=True, slots=True)
class WantedFreeze:
    scope: Scope
    mode: FreezeMode
    cause: FreezeCause
    reason: str
    evidence: dict[str, str]


def wanted_freezes(view: AccountView) -> list[WantedFreeze]:
    """Return what is to be frozen on an account; asking again while it is frozen changes nothing."""
    found = [_silence(view), _login(view), _lateness(view), _clock(view), *_unknown(view)]
    return [freeze for freeze in found if freeze is not None]


def ended_causes(view: AccountView, in_force: Collection[FreezeCause]) -> dict[FreezeCause, str]:
    """Return which freezes of the whole account are over by facts alone, and why.

    What a lost connection began, only a recovery ends.
    """
    over = {}
    if FreezeCause.RECONCILIATION_LATE in in_force and view.verdict_at is not None and _lateness(view) is None:
        over[FreezeCause.RECONCILIATION_LATE] = "A reconciliation came to a verdict again."
    if FreezeCause.CLOCK_SKEW in in_force and _clock(view) is None:
        over[FreezeCause.CLOCK_SKEW] = "The broker's clock and ours agree again."
    return over


def _silence(view: AccountView) -> WantedFreeze | None:
    """The order stream is not heard, and nothing else told meanwhile what happened at the broker.

    One that stands by its row and is not heard is held by a process that died, which another one takes over, or by one
    that is starved: that is given longer.
    """
    stream = view.stream
    if stream is None or stream.heard_at is None:
        return None
    heard = max(stream.heard_at, view.snapshot_at or stream.heard_at)
    silent = view.now - heard
    if silent <= (STREAM_SILENT_AFTER if stream.is_up else STREAM_DOWN_AFTER):
        return None
    state = "silent" if stream.is_up else "down"
    reason = f"The order stream is {state}, and nothing was heard of the account for {silent.total_seconds():.0f} s."
    return _freeze(view, FreezeCause.STREAM_DOWN, reason, heard_at=heard.isoformat(), error=stream.error)


def _login(view: AccountView) -> WantedFreeze | None:
    """The stream, or the last call, was refused for its login; only a person says that it is right again."""
    refused = view.login
    if refused is not None and (view.snapshot_at is None or view.snapshot_at < refused.until):
        seconds = refused.until - refused.since
        if seconds >= LOGIN_REFUSED_AFTER:
            reason = f"The broker refused the login for {seconds.total_seconds():.0f} s: {refused.error}"[:500]
            return _freeze(view, FreezeCause.AUTH_FAILURE, reason, refused_at=refused.until.isoformat())
    stream = view.stream
    if stream is None or stream.is_up or not stream.error.startswith("AUTH_"):
        return None
    return _freeze(view, FreezeCause.AUTH_FAILURE, f"The broker refuses the login: {stream.error}"[:500])


def _lateness(view: AccountView) -> WantedFreeze | None:
    """No verdict for too long; an account that never had one is given as long since it was added."""
    since = view.verdict_at or view.added_at
    if since is None or view.period is None:
        return None
    age = view.now - since
    if age <= max(LEAST_LATE, PERIODS_LATE * view.period):
        return None
    if view.verdict_at is None:
        reason = f"The account was never reconciled, since it was added {age.total_seconds():.0f} s ago."
        return _freeze(view, FreezeCause.RECONCILIATION_LATE, reason, added_at=since.isoformat())
    reason = f"No reconciliation has come to a verdict for {age.total_seconds():.0f} s."
    return _freeze(view, FreezeCause.RECONCILIATION_LATE, reason, verdict_at=since.isoformat())


def _clock(view: AccountView) -> WantedFreeze | None:
    if view.skew is None or abs(view.skew) <= MOST_SKEW:
        return None
    seconds = f"{abs(view.skew).total_seconds():.1f}"
    where = "ahead of" if view.skew > timedelta(0) else "behind"
    told = f"{view.skew.total_seconds():.1f}"
    return _freeze(view, FreezeCause.CLOCK_SKEW, f"The broker's clock is {seconds} s {where} ours.", seconds=told)


def _unknown(view: AccountView) -> list[WantedFreeze]:
    """An order stays unknown although look-ups were possible for long enough: time without a link does not count."""
    stream_ok = view.stream is None or view.stream.is_up
    found: dict[str, WantedFreeze] = {}
    for order in view.unknown:
        reason = ""
        if order.is_stuck:
            reason = f"Only a person can find out what became of an order for {order.symbol}."
        elif stream_ok and view.can_look_up and not view.is_recovering:
            since = max([order.sent_at, *_link_instants(view)])
            if view.now - since > UNKNOWN_AFTER:
                seconds = (view.now - since).total_seconds()
                reason = f"An order for {order.symbol} has been unknown for {seconds:.0f} s."
        if reason and order.symbol not in found:
            scope = Scope(ScopeKind.ACCOUNT, view.account, order.symbol)
            evidence = {"order": order.order_id}
            found[order.symbol] = WantedFreeze(scope, FreezeMode.HALT, FreezeCause.UNKNOWN_ORDER, reason, evidence)
    return list(found.values())


def _link_instants(view: AccountView) -> list[datetime]:
    connected = view.stream.connected_at if view.stream else None
    return [instant for instant in (connected, view.recovered_at) if instant is not None]


def _freeze(view: AccountView, cause: FreezeCause, reason: str, **evidence: str) -> WantedFreeze:
    return WantedFreeze(Scope(ScopeKind.ACCOUNT, view.account), FreezeMode.HALT, cause, reason, evidence)
