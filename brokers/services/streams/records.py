"""The rows of order streams: the session of each account, and what happened to it.

Locks are taken in one order everywhere: orders, the key of a wanted synchronization, the session.
"""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from brokers.core.reports import StreamEvent
from brokers.core.streams import Endpoint, StandbyState, StreamChangeKind, StreamState
from brokers.models import Account, StreamSession
from brokers.services.reachability import call_back, freeze_unreachable
from brokers.services.streams.generations import note_change
from brokers.services.synchronization import record_evidence, want_sync
from reliability.services import tracing

_REASON_LIMIT = 500


def record_events(account_id: int, events: Sequence[StreamEvent]) -> None:
    about = {"stanchion.account": account_id, "stanchion.events": len(events)}
    with tracing.span("order stream events", about), transaction.atomic():
        fills = [event.fill for event in events if event.fill is not None]
        record_evidence(account_id, [event.order for event in events], fills, "stream")
        _session(account_id).update(last_event_at=timezone.now())


def mark_up(account_id: int, pulse: int, endpoint: Endpoint, *, switched: str | None = None) -> int:
    """Begin a new generation at an endpoint, ask for what was missed, and return the generation.

    ``switched`` is why the other connection was left, None for a stream that was down.
    """
    now = timezone.now()
    kind = StreamChangeKind.UP if switched is None else StreamChangeKind.SWITCHED
    with transaction.atomic():
        want_sync({account_id})
        StreamSession.objects.get_or_create(account=Account.objects.get(pk=account_id))
        if _session(account_id).filter(unreachable_since__isnull=False).update(unreachable_since=None, checked_at=now):
            note_change(account_id, StreamChangeKind.REACHABLE, endpoint)
            call_back(account_id)
        _session(account_id).update(
            state=StreamState.UP,
            endpoint=endpoint,
            pulse=pulse,
            generation=F("generation") + 1,
            connected_at=now,
            last_alive_at=now,
            last_error=(switched or "")[:_REASON_LIMIT],
            reconnects=F("reconnects") + int(switched is None),
            switches=F("switches") + int(switched is not None),
        )
        return note_change(account_id, kind, endpoint, switched or "")


def mark_down(account_id: int, endpoint: Endpoint, state: StreamState, reason: str) -> None:
    """Record that nothing is heard of an account any more."""
    with transaction.atomic():
        _session(account_id).update(state=state, last_error=reason[:_REASON_LIMIT])
        _session(account_id).filter(standby=StandbyState.UP).update(standby=StandbyState.DOWN)
        note_change(account_id, StreamChangeKind.DOWN, endpoint, reason)


def mark_silent(account_id: int, endpoint: Endpoint, kind: StreamChangeKind, reason: str) -> None:
    """Record that a connection said nothing, or not what it should have."""
    with transaction.atomic():
        _session(account_id).update(silences=F("silences") + 1)
        note_change(account_id, kind, endpoint, reason)


def mark_standby(account_id: int, endpoint: Endpoint, state: StandbyState, reason: str = "") -> None:
    kind = StreamChangeKind.STANDBY_UP if state is StandbyState.UP else StreamChangeKind.STANDBY_DOWN
    with transaction.atomic():
        _session(account_id).update(standby=state)
        note_change(account_id, kind, endpoint, reason)


def mark_alive(account_id: int, standby: StandbyState) -> None:
    _session(account_id).update(state=StreamState.UP, standby=standby, last_alive_at=timezone.now())


def mark_reach(account_id: int, *, answered: bool, reason: str = "", calls_to: Endpoint = Endpoint.PRIMARY) -> None:
    """Record whether a broker that is doubted answers calls, and where; freeze its account when it long does not."""
    with transaction.atomic():
        session = _session(account_id).select_for_update(no_key=True).first()
        if session is None:
            return
        now, since = timezone.now(), session.unreachable_since
        since_now = None if answered else since or now
        _session(account_id).update(checked_at=now, unreachable_since=since_now, calls_to=calls_to)
        if session.calls_to != calls_to:
            note_change(account_id, StreamChangeKind.CALLS_MOVED, calls_to, reason)
        if answered and since is not None:
            note_change(account_id, StreamChangeKind.REACHABLE, Endpoint(session.endpoint))
            call_back(account_id)
        elif not answered and since is None:
            note_change(account_id, StreamChangeKind.UNREACHABLE, Endpoint(session.endpoint), reason)
        elif not answered and since is not None:
            freeze_unreachable(account_id, now - since, reason)
    if answered and since is not None:
        want_sync({account_id})


def _session(account_id: int) -> QuerySet[StreamSession]:
    return StreamSession.objects.filter(account_id=account_id)
