"""What people decide about a kind of error: it is mended, it can wait, it is the same as another."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone

from reliability.core.error_groups import GroupState
from reliability.core.errors import ReliabilityError
from reliability.models import ErrorFingerprint, ErrorGroup
from reliability.services.alerting import end_alerts
from reliability.services.audit import record_audit
from reliability.services.error_groups import group_scope
from reliability.services.timeline import Happening, record_timeline

MOST_TIMES = 1_000_000
LONGEST_WINDOW_SECONDS = 7 * 86_400
RELEASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
CONDITIONS = ("error.new_group", "error.regression")


def assign_group(group_id: int, *, owner: str, actor: str, reason: str = "") -> None:
    """Say whose a kind of error is to mend, by user name; empty takes it from everybody.

    Raises:
        ReliabilityError: there is no such group or user, or the user may not log in.
    """
    user = get_user_model().objects.filter(username=owner, is_active=True).first() if owner else None
    if owner and user is None:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"There is no user called {owner[:150]!r} who may log in.")
    with transaction.atomic():
        group = _lock(group_id, GroupState.OPEN, GroupState.SNOOZED, GroupState.RESOLVED)
        before = group.owner.get_username() if group.owner else ""
        group.owner = user
        group.save(update_fields=["owner"])
        detail = {"from": before, "to": owner}
        record_timeline(
            [Happening("error_group", group.pk, "assigned", group.state, group.state, actor, reason, detail)]
        )
        values = {"before": {"owner": before}, "after": {"owner": owner}}
        record_audit(actor, "assign_error_group", f"error_group:{group.pk}", **values, reason=reason)


def resolve_group(group_id: int, *, actor: str, reason: str, release: str = "") -> None:
    """Say that it is mended: the next error of this kind is a regression.

    With ``release``, only one of that or a later release is: what older processes still meet is counted, and says
    nothing. The release may start later; ``next`` is whichever starts next. Raises ``ReliabilityError``.
    """
    if release and not RELEASE_NAME.fullmatch(release):
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "A release is named by letters, digits and . _ + -")
    with transaction.atomic():
        group = _lock(group_id, GroupState.OPEN, GroupState.SNOOZED)
        group.resolved_in = release
        _decide(group, GroupState.RESOLVED, "resolved", actor, reason)


def reopen_group(group_id: int, *, actor: str, reason: str) -> None:
    """Take a snooze or a resolution back. Raises ``ReliabilityError``."""
    with transaction.atomic():
        group = _lock(group_id, GroupState.SNOOZED, GroupState.RESOLVED)
        _decide(group, GroupState.OPEN, "reopened", actor, reason)


def snooze_group(
    group_id: int,
    *,
    actor: str,
    reason: str,
    until: datetime | None = None,
    more: int | None = None,
    times: int | None = None,
    window_seconds: int | None = None,
) -> None:
    """Hear nothing of it until an instant, or until it was met ``more`` times again, whatever comes first.

    Or until it is met ``times`` within ``window_seconds``, which are given together.

    Raises:
        ReliabilityError: it is not open, no limit is given, or the instant is past or a number is out of bounds.
    """
    if (times is None) != (window_seconds is None):
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give times and window_seconds together.")
    if until is None and more is None and times is None:
        text = "Snooze until a time, a number of further errors, or a number of them within a window."
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", text)
    if times is not None and not (1 <= times <= MOST_TIMES and 1 <= (window_seconds or 0) <= LONGEST_WINDOW_SECONDS):
        text = f"times is from 1 to {MOST_TIMES}, window_seconds from 1 to {LONGEST_WINDOW_SECONDS}."
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", text)
    if (until is not None and until <= timezone.now()) or (more is not None and more < 1):
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "A snooze ends in the future.")
    with transaction.atomic():
        group = _lock(group_id, GroupState.OPEN)
        group.snoozed_until = until
        group.snoozed_count = None if more is None else group.count + more - 1
        group.snoozed_times, group.snoozed_window_seconds, group.snoozed_recent = times, window_seconds, []
        _decide(group, GroupState.SNOOZED, "snoozed", actor, reason)


def merge_groups(into_id: int, ids: Sequence[int], *, actor: str, reason: str) -> int:
    """Make several kinds one, for good: their counts, and every further error of theirs, are the first one's.

    Returns how many were merged. Raises ``ReliabilityError`` when one does not exist or is merged already.
    """
    others = sorted(set(ids) - {into_id})
    if not others:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Choose at least two groups.")
    with transaction.atomic():
        _lock_fingerprints([into_id, *others])
        locked = ErrorGroup.objects.select_for_update().filter(pk__in=[into_id, *others])
        rows = {row.pk: row for row in locked.order_by("pk")}
        if len(rows) != len(others) + 1 or any(row.state == GroupState.MERGED for row in rows.values()):
            raise ReliabilityError("VALIDATION_WRONG_STATE", "One of these is merged already, or does not exist.")
        target = rows[into_id]
        for pk in others:
            row = rows[pk]
            target.count += row.count
            target.stored += row.stored
            target.first_seen_at = min(target.first_seen_at, row.first_seen_at)
            target.last_seen_at = max(target.last_seen_at, row.last_seen_at)
            row.merged_into = target
            _decide(row, GroupState.MERGED, "merged", actor, reason)
        target.save(update_fields=["count", "stored", "first_seen_at", "last_seen_at"])
        ErrorFingerprint.objects.filter(group_id__in=others).update(group_id=into_id)
        record_timeline(
            [Happening("error_group", into_id, "took_in", actor=actor, reason=reason, detail={"ids": others})]
        )
    return len(others)


def _lock_fingerprints(group_ids: Sequence[int]) -> None:
    """Lock which fingerprints belong where, before the groups themselves: the roll-up takes the same order."""
    list(ErrorFingerprint.objects.select_for_update().filter(group_id__in=group_ids).order_by("pk"))


def _lock(group_id: int, *states: GroupState) -> ErrorGroup:
    group = ErrorGroup.objects.select_for_update().filter(pk=group_id).first()
    if group is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no group {group_id}.")
    if group.state not in states:
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"It is {group.state}.")
    return group


def _decide(group: ErrorGroup, state: GroupState, kind: str, actor: str, reason: str) -> None:
    reason = reason.strip()[:500]
    if not reason:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the decision.")
    before, group.state = group.state, state
    if state is not GroupState.SNOOZED:
        group.snoozed_until = group.snoozed_count = None
        group.snoozed_times = group.snoozed_window_seconds = None
        group.snoozed_recent = []
    if state is not GroupState.RESOLVED:
        group.resolved_in = ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        group.decided_at = cursor.fetchone()[0]
    group.decided_by, group.decided_reason = actor[:150], reason
    group.save()
    detail = _limits(group)
    record_timeline([Happening("error_group", group.pk, kind, before, state, actor, reason, detail)])
    after = {"state": state.value, **detail}
    record_audit(
        actor, f"{kind}_error_group", f"error_group:{group.pk}", before={"state": before}, after=after, reason=reason
    )
    if state is not GroupState.OPEN:
        end_alerts([(condition, group_scope(group)) for condition in CONDITIONS], by=actor, reason=reason)


def _limits(group: ErrorGroup) -> dict[str, Any]:
    """Return what a decision depends on beyond its state, as far as something was said."""
    values = {
        "release": group.resolved_in,
        "until": group.snoozed_until.isoformat() if group.snoozed_until else "",
        "count": group.snoozed_count,
        "times": group.snoozed_times,
        "window_seconds": group.snoozed_window_seconds,
    }
    return {name: value for name, value in values.items() if value not in ("", None)}
