"""Whether conditions can be evaluated at all. What cannot be is "no data": neither good, nor over, and people see it.

An open alert of such a condition stays, its hold-down stands still, and the alert ``watch.late`` says what is wrong
once that lasts.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connection, transaction

from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, raise_alerts, resolve_alert
from reliability.services.timeline import Happening, record_timeline

LATE = "watch.late"

_MARK_RULES = """
UPDATE reliability_alertrule SET no_data_since = clock_timestamp(), no_data_reason = %s
WHERE condition = ANY(%s) AND no_data_since IS NULL
"""

_MARK_ALERTS = """
UPDATE reliability_alert SET no_data_since = clock_timestamp(), no_data_reason = %s
WHERE condition = ANY(%s) AND resolved_at IS NULL AND no_data_since IS NULL
RETURNING id
"""

# Only what the condition as a whole was marked with: an alert may lack data for a reason of its own.
_CLEAR_ALERTS = """
UPDATE reliability_alert alert
SET no_data_since = NULL, no_data_reason = '', clears_at = alert.clears_at + (clock_timestamp() - alert.no_data_since)
FROM reliability_alertrule rule
WHERE rule.condition = ANY(%s) AND rule.no_data_since IS NOT NULL AND alert.condition = rule.condition
  AND alert.resolved_at IS NULL AND alert.no_data_since IS NOT NULL AND alert.no_data_reason = rule.no_data_reason
RETURNING alert.id
"""

_CLEAR_RULES = """
UPDATE reliability_alertrule SET no_data_since = NULL, no_data_reason = ''
WHERE condition = ANY(%s) AND no_data_since IS NOT NULL
"""

_LAST_EVALUATED = """
SELECT max((detail->>'evaluated_at')::float) FROM reliability_heartbeat
WHERE kind = 'sentinel' AND detail ? 'evaluated_at' AND beat_at > clock_timestamp() - interval '7 days'
"""

_HOLD = """
UPDATE reliability_alert SET clears_at = clears_at + make_interval(secs => %s)
WHERE resolved_at IS NULL AND clears_at IS NOT NULL
"""

logger = logging.getLogger(__name__)

_failing: dict[str, float] = {}  # since when each look of this process fails
_seen: set[str] = set()  # looks that went well in this process since they last failed


class NoDataError(Exception):
    """A look that worked and saw nothing to judge by; its text says what is missing."""


def evaluate_in_transaction(look: Callable[[], None], conditions: Sequence[str]) -> None:
    """Have a look as ``evaluate`` does, and keep all or nothing of what it wrote."""

    def whole() -> None:
        with transaction.atomic():
            look()

    evaluate(whole, conditions, name=look.__qualname__)


def evaluate(look: Callable[[], None], conditions: Sequence[str], *, name: str = "") -> None:
    """Have a look; one that fails, or raises ``NoDataError``, leaves its ``conditions`` without data.

    Raises ``DatabaseError`` or ``InterfaceError`` only when the connection is gone: then nothing can be evaluated.
    """
    name = name or look.__qualname__
    try:
        look()
    except (DatabaseError, InterfaceError) as error:
        if not connection.is_usable():
            raise
        _note_failure(name, conditions, error)
    except Exception as error:
        _note_failure(name, conditions, error)
    else:
        if name not in _seen:
            _note_success(name, conditions)


def mark_no_data(conditions: Sequence[str], reason: str) -> None:
    """Say that nothing is known of these conditions now; what is open stays open and stops getting nearer its end."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MARK_RULES, [reason[:200], list(conditions)])
        cursor.execute(_MARK_ALERTS, [reason[:200], list(conditions)])
        marked = [row[0] for row in cursor.fetchall()]
        record_timeline(Happening("alert", pk, "no_data", reason=reason) for pk in marked)


def mark_data(conditions: Sequence[str]) -> None:
    """Say that these conditions are evaluated again; hold-downs go on where they stood still."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLEAR_ALERTS, [list(conditions)])
        cleared = [row[0] for row in cursor.fetchall()]
        cursor.execute(_CLEAR_RULES, [list(conditions)])
        record_timeline(Happening("alert", pk, "data_again") for pk in cleared)


def hold_what_nobody_watched() -> timedelta:
    """Let hold-downs go on from where the last evaluation left them; returns how long nobody evaluated.

    Call it as a process begins to lead: what was over may have been there again in between.
    """
    seconds = unevaluated_seconds()
    gap = timedelta(seconds=seconds or 0.0)
    if gap > timedelta(seconds=read_thresholds(LATE)["late_seconds"]):
        with connection.cursor() as cursor:
            cursor.execute(_HOLD, [gap.total_seconds()])
        return gap
    return timedelta(0)


def unevaluated_seconds() -> float | None:
    """Return how long ago alerts were last evaluated, whichever process did; None if that is not known."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_EVALUATED)
        last = cursor.fetchone()[0]
    return None if last is None else max(0.0, time.time() - float(last))


def evaluations_age() -> float | None:
    """Return ``unevaluated_seconds`` if that is too long, else None: what is shown may then be old."""
    seconds = unevaluated_seconds()
    return seconds if seconds is not None and seconds > read_thresholds(LATE)["late_seconds"] else None


# -- inside ---------------------------------------------------------------------------------


def _note_failure(name: str, conditions: Sequence[str], error: Exception) -> None:
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    reason = first_line if isinstance(error, NoDataError) else f"it cannot be evaluated: {first_line}"
    if name not in _failing and not isinstance(error, NoDataError):
        logger.error("an alert condition could not be evaluated", extra={"check": name}, exc_info=error)
    _seen.discard(name)
    since = _failing.setdefault(name, time.monotonic())
    mark_no_data(conditions, reason)
    if time.monotonic() - since >= read_thresholds(LATE)["late_seconds"]:
        text = "The condition {} cannot be evaluated: " + first_line
        raise_alerts([Raising(LATE, f"condition:{one}", text.format(one)[:500]) for one in conditions])


def _note_success(name: str, conditions: Sequence[str]) -> None:
    mark_data(conditions)
    for one in conditions:
        resolve_alert(LATE, f"condition:{one}", reason="it is evaluated again")
    _failing.pop(name, None)
    _seen.add(name)
