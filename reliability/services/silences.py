"""Times in which nobody is told of certain alerts. They are still recorded, shown and counted."""

from datetime import timedelta

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from reliability.core.conditions import CONDITIONS
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Silence
from reliability.services.audit import record_audit

LONGEST = timedelta(hours=24)

_MARK = """
WITH wanted AS (
    SELECT alert.id, (
        SELECT silence.id FROM reliability_silence silence
        WHERE silence.starts_at <= clock_timestamp() AND silence.ends_at > clock_timestamp()
          AND silence.condition IN ('', alert.condition) AND starts_with(alert.scope, silence.scope)
          AND (silence.confirmed_by <> '' OR NOT (alert.severity <= %s OR alert.condition = ANY(%s)))
        ORDER BY silence.ends_at DESC LIMIT 1) AS silence
    FROM reliability_alert alert WHERE alert.resolved_at IS NULL
)
UPDATE reliability_alert alert SET silence_id = wanted.silence
FROM wanted WHERE alert.id = wanted.id AND alert.silence_id IS DISTINCT FROM wanted.silence
"""


def mark_silenced() -> None:
    """Mark each open alert with the silence that covers it; critical ones and those always told need two persons."""
    always = [name for name, one in CONDITIONS.items() if one.must_notify]
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [ErrorSeverity.CRITICAL.rank, always])


def add_silence(*, condition: str, scope: str, duration: timedelta, actor: str, reason: str) -> Silence:
    """Silence alerts of a condition (all if empty) whose scope begins so, for at most a day.

    Raises:
        ReliabilityError: no such condition, no reason, no time or too long, or it would cover everything.
    """
    if condition and condition not in CONDITIONS:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"There is no condition called {condition[:64]!r}.")
    if not condition and not scope:
        raise ReliabilityError(
            "VALIDATION_INVALID_REQUEST", "Name a condition or a scope: nothing silences everything."
        )
    if not timedelta(0) < duration <= LONGEST:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "A silence lasts at most 24 hours.")
    reason = reason.strip()[:500]
    if not reason:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the silence.")
    with transaction.atomic():
        silence = Silence.objects.create(
            condition=condition, scope=scope[:200], reason=reason, author=actor, ends_at=timezone.now() + duration
        )
        record_audit(actor, "add_silence", f"silence:{silence.pk}", after=_facts(silence), reason=reason)
    return silence


def confirm_silence(silence_id: int, *, actor: str) -> None:
    """Let a silence cover critical alerts, too, by a second person. Raises ``ReliabilityError``."""
    with transaction.atomic():
        silence = _lock(silence_id)
        if silence.author == actor or silence.confirmed_by:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "Another person than its author confirms it, once.")
        silence.confirmed_by = actor
        silence.save(update_fields=["confirmed_by"])
        record_audit(actor, "confirm_silence", f"silence:{silence.pk}", after=_facts(silence))


def end_silence(silence_id: int, *, actor: str) -> None:
    """End a silence now. Raises ``ReliabilityError``."""
    with transaction.atomic():
        silence = _lock(silence_id)
        Silence.objects.filter(pk=silence.pk).update(ends_at=Now(), ended_by=actor)
        record_audit(actor, "end_silence", f"silence:{silence.pk}", before=_facts(silence))


def _lock(silence_id: int) -> Silence:
    silence = Silence.objects.select_for_update().filter(pk=silence_id, ends_at__gt=timezone.now()).first()
    if silence is None:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "There is no such silence, or it is over.")
    return silence


def _facts(silence: Silence) -> dict[str, str]:
    return {
        "condition": silence.condition,
        "scope": silence.scope,
        "ends_at": silence.ends_at.isoformat(),
        "confirmed_by": silence.confirmed_by,
    }
