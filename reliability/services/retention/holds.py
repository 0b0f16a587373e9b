"""Legal holds: placed by one person, released by another, and stronger than every policy."""

from datetime import datetime

from django.db import connection, transaction
from django.db.models.functions import Now

from reliability.core.errors import ReliabilityError
from reliability.core.retention import Hold
from reliability.models import LegalHold
from reliability.services.audit import record_audit
from reliability.services.retention.keepers import list_keepers

_LOCK = 7_103_011  # whoever drops a piece and whoever places a hold wait for each other


def lock_holds() -> None:
    """Let no hold be placed, and nothing be dropped by another, until the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def list_holds_in_force() -> list[Hold]:
    rows = LegalHold.objects.filter(released_at=None).order_by("id")
    return [Hold(row.pk, row.kind, row.starts_at, row.ends_at) for row in rows]


def place_hold(*, kind: str, starts_at: datetime, ends_at: datetime | None, actor: str, reason: str) -> LegalHold:
    """Keep rows of ``kind`` (of every kind if empty) between the two instants until the hold is released.

    Once this returns nothing of it goes; what went before is told by ``RetentionDrop``.

    Raises:
        ReliabilityError: no such kind, no reason, or times the wrong way round.
    """
    if kind and kind not in {keeper.kind for keeper in list_keepers()}:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"No kind of rows is called {kind[:32]!r}.")
    if ends_at is not None and ends_at <= starts_at:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "A hold ends after it starts.")
    if not reason.strip():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the hold.")
    with transaction.atomic():
        lock_holds()
        hold = LegalHold.objects.create(
            kind=kind, starts_at=starts_at, ends_at=ends_at, reason=reason.strip()[:500], placed_by=actor
        )
        record_audit(actor, "place_legal_hold", f"legal_hold:{hold.pk}", after=hold_terms(hold), reason=hold.reason)
    return hold


def release_hold(hold_id: int, *, actor: str, reason: str) -> LegalHold:
    """Release a hold that another person placed; policies apply again with the next upkeep.

    Raises:
        ReliabilityError: no such hold in force, no reason, or the person who placed it.
    """
    if not reason.strip():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the hold.")
    with transaction.atomic():
        hold = LegalHold.objects.select_for_update().filter(pk=hold_id, released_at=None).first()
        if hold is None:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "There is no such hold in force.")
        if hold.placed_by == actor:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "Another person than who placed a hold releases it.")
        LegalHold.objects.filter(pk=hold.pk).update(
            released_by=actor, released_at=Now(), released_reason=reason.strip()[:500]
        )
        record_audit(actor, "release_legal_hold", f"legal_hold:{hold.pk}", before=hold_terms(hold), reason=reason)
    hold.refresh_from_db()
    return hold


def hold_terms(hold: LegalHold) -> dict[str, str | None]:
    ends_at = hold.ends_at.isoformat() if hold.ends_at is not None else None
    return {"kind": hold.kind, "starts_at": hold.starts_at.isoformat(), "ends_at": ends_at}
