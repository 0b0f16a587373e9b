"""What an operator sets for a condition: checked, on record with before and after, and taken back as easily."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from reliability.core.conditions import CONDITIONS
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import ErrorSeverity
from reliability.core.thresholds import check_thresholds
from reliability.models import AlertRule
from reliability.services.audit import record_audit

LONGEST_HOLD_DOWN_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class RuleValues:
    """All that can be set for a condition; None is what the catalogue has. ``thresholds`` names what differs."""

    severity: ErrorSeverity | None
    hold_down_seconds: float | None
    is_told: bool
    thresholds: Mapping[str, Any]


USUAL = RuleValues(None, None, is_told=True, thresholds={})


def ensure_rules() -> None:
    """Have a row to tune for each condition of the catalogue."""
    AlertRule.objects.bulk_create([AlertRule(condition=name) for name in CONDITIONS], ignore_conflicts=True)


def change_rule(condition: str, values: RuleValues, *, actor: str, reason: str = "") -> AlertRule:
    """Set all of a condition's rule; it holds from the next look on, in every process.

    Raises:
        ReliabilityError: no such condition, or a value is out of its bounds; says which, and what they are.
    """
    row, thresholds = _checked(condition, values)
    with transaction.atomic():
        locked = AlertRule.objects.select_for_update().get(pk=row.pk)
        before = _values(locked)
        locked.severity = values.severity.rank if values.severity else None
        locked.hold_down_seconds, locked.is_told = values.hold_down_seconds, values.is_told
        locked.thresholds = thresholds
        after = _values(locked)
        if after == before:
            return locked
        locked.changed_by, locked.changed_at = actor[:150], Now()
        locked.save()
        locked.refresh_from_db()
        record_audit(actor, "change_alert_rule", f"alert_rule:{condition}", before=before, after=after, reason=reason)
    return locked


def reset_rule(condition: str, *, actor: str, reason: str = "") -> AlertRule:
    """Take everything that was set for a condition back. Raises ``ReliabilityError`` for an unknown one."""
    return change_rule(condition, USUAL, actor=actor, reason=reason)


def _checked(condition: str, values: RuleValues) -> tuple[AlertRule, dict[str, float]]:
    known = CONDITIONS.get(condition)
    if known is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no condition called {condition[:64]!r}.")
    hold_down = values.hold_down_seconds
    if hold_down is not None and not 0 <= hold_down <= LONGEST_HOLD_DOWN_SECONDS:
        text = f"hold_down_seconds is a number from 0 to {LONGEST_HOLD_DOWN_SECONDS:.0f}."
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", text)
    if known.must_notify and not values.is_told:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"{condition} is always told: silence it by two persons.")
    try:
        thresholds = check_thresholds(known.thresholds, known.ordered, values.thresholds)
    except ValueError as error:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", str(error)) from None
    return AlertRule.objects.get_or_create(condition=condition)[0], thresholds


def _values(row: AlertRule) -> dict[str, Any]:
    severity = ErrorSeverity.of_rank(row.severity).value if row.severity is not None else None
    return {
        "severity": severity,
        "hold_down_seconds": row.hold_down_seconds,
        "is_told": row.is_told,
        "thresholds": dict(row.thresholds),
    }
