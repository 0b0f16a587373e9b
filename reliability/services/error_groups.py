"""Roll errors up into groups: exact counts, first and last time, regressions; one writer, a few statements a round."""

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from reliability.core.error_groups import GroupState, within_window
from reliability.core.fingerprint import VERSION
from reliability.core.guesses import normalize_message
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import ErrorFingerprint, ErrorGroup
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, end_alerts, raise_alerts
from reliability.services.timeline import Happening, record_timeline

BATCH = 5_000

_TAKE = """
WITH gone AS (
    DELETE FROM reliability_errortally
    WHERE id IN (SELECT id FROM reliability_errortally ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING id, fingerprint, former, facts, number, stored, first_at, last_at
), minutes AS (
    INSERT INTO reliability_errorrollup (minute, source, operation, category, code, errors)
    SELECT date_trunc('minute', last_at), facts->>'source', facts->>'operation', facts->>'category', facts->>'code',
           sum(number)
    FROM gone GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (minute, source, operation, category, code)
        DO UPDATE SET errors = reliability_errorrollup.errors + excluded.errors
)
SELECT fingerprint, (array_agg(former ORDER BY id DESC))[1], (array_agg(facts ORDER BY id DESC))[1],
       sum(number)::bigint, sum(stored)::bigint, min(first_at), max(last_at), count(*),
       coalesce(facts->>'release', '') AS release
FROM gone GROUP BY fingerprint, coalesce(facts->>'release', '')
"""

_ADD = """
WITH added AS (
    SELECT * FROM json_to_recordset(%s) AS row(
        id bigint, number bigint, stored bigint, first_at timestamptz, last_at timestamptz, releases jsonb)
), locked AS MATERIALIZED (
    SELECT one.id, one.state, one.count, one.snoozed_until, one.snoozed_count, one.decided_at, one.resolved_in,
           added.releases
    FROM reliability_errorgroup one JOIN added USING (id) ORDER BY one.id FOR UPDATE OF one
), before AS MATERIALIZED (
    SELECT locked.*, state = 'resolved' AND EXISTS (
        SELECT FROM jsonb_to_recordset(releases) AS met (name text, last_at timestamptz)
        LEFT JOIN reliability_release release ON release.name = met.name
        WHERE met.last_at > decided_at AND (
            resolved_in = '' OR met.name = ''
            OR (resolved_in = 'next' AND release.started_at > decided_at)
            OR release.id >= (SELECT mended.id FROM reliability_release mended WHERE mended.name = resolved_in))
    ) AS is_back FROM locked
)
UPDATE reliability_errorgroup grp
SET count = grp.count + added.number, stored = grp.stored + added.stored,
    first_seen_at = least(grp.first_seen_at, added.first_at),
    last_seen_at = greatest(grp.last_seen_at, added.last_at),
    regressions = grp.regressions + before.is_back::int,
    state = CASE
        WHEN before.is_back THEN 'open'
        WHEN before.state = 'snoozed' AND (before.snoozed_until <= clock_timestamp()
                                           OR before.snoozed_count < before.count + added.number) THEN 'open'
        ELSE before.state END
FROM added JOIN before USING (id) WHERE grp.id = added.id
RETURNING grp.id, before.state, grp.state
"""


@dataclass(frozen=True, slots=True)
class Met:
    """How often one kind of error was met since the last round."""

    fingerprint: str
    former: list[str]
    facts: dict[str, Any]
    number: int
    stored: int
    first_at: datetime
    last_at: datetime
    tallies: int
    release: str


def roll_up_errors() -> int:
    """Bring what was recorded into groups and minutes, and tell people of what is new or came back.

    Returns how many tallies were taken; at ``BATCH`` there may be more. One process at a time calls it.
    """
    with transaction.atomic():
        met = _take()
        if not met:
            return 0
        groups = _groups_of(met)
        _add(met, groups)
    return sum(one.tallies for one in met)


def _take() -> list[Met]:
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [BATCH])
        rows = cursor.fetchall()
    return [Met(row[0], _loaded(row[1]), _loaded(row[2]), *row[3:]) for row in rows]


def _loaded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _groups_of(met: list[Met]) -> dict[str, int]:
    """Return the group of each fingerprint: by itself, by what earlier versions made of it, or a new one."""
    wanted = {one.fingerprint for one in met} | {old for one in met for old in one.former}
    rows = ErrorFingerprint.objects.select_for_update().filter(pk__in=wanted).order_by("pk")  # against a merge
    known = dict(rows.values_list("pk", "group_id"))
    fresh = []
    for one in met:
        if one.fingerprint in known:
            continue  # also when another release met it in the same round
        inherited = next((known[old] for old in one.former if old in known), None)
        known[one.fingerprint] = inherited if inherited is not None else _new_group(one)
        fresh.append(ErrorFingerprint(pk=one.fingerprint, version=VERSION, group_id=known[one.fingerprint]))
    ErrorFingerprint.objects.bulk_create(fresh)
    return known


def _new_group(one: Met) -> int:
    facts = one.facts
    title = normalize_message(facts["message"]) or facts["kind"] or facts["code"]
    names = ("code", "category", "severity", "source", "operation", "kind", "place")
    group = ErrorGroup.objects.create(
        title=title, first_seen_at=one.first_at, last_seen_at=one.last_at, **{name: facts[name] for name in names}
    )
    record_timeline([Happening("error_group", group.pk, "first_seen", to_state=GroupState.OPEN)])
    raise_alerts([_raising("error.new_group", group, f"An error that was never met before: {_words(group)}")])
    return group.pk


def _add(met: list[Met], groups: dict[str, int]) -> None:
    totals: dict[int, list[Met]] = defaultdict(list)
    for one in met:
        totals[groups[one.fingerprint]].append(one)
    rows = [
        {
            "id": group_id,
            "number": sum(one.number for one in parts),
            "stored": sum(one.stored for one in parts),
            "first_at": min(one.first_at for one in parts).isoformat(),
            "last_at": max(one.last_at for one in parts).isoformat(),
            "releases": [{"name": one.release, "last_at": one.last_at.isoformat()} for one in parts],
        }
        for group_id, parts in totals.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [json.dumps(rows)])
        changed = [(pk, GroupState(old), GroupState(new)) for pk, old, new in cursor.fetchall() if old != new]
    _tell_changes(changed + _end_crowded_snoozes(totals))


def _end_crowded_snoozes(totals: dict[int, list[Met]]) -> list[tuple[int, GroupState, GroupState]]:
    """End snoozes of groups that were met as often within their window as was allowed."""
    rows = ErrorGroup.objects.select_for_update().filter(
        pk__in=list(totals), state=GroupState.SNOOZED, snoozed_times__isnull=False
    )
    ended = []
    for group in rows.order_by("pk"):
        fresh = [[one.last_at.timestamp(), one.number] for one in totals[group.pk]]
        recent, number = within_window([*group.snoozed_recent, *fresh], group.snoozed_window_seconds or 0)
        group.snoozed_recent = recent
        if number >= (group.snoozed_times or 0):
            group.state = GroupState.OPEN
            ended.append((group.pk, GroupState.SNOOZED, GroupState.OPEN))
        group.save(update_fields=["snoozed_recent", "state"])
    return ended


def _tell_changes(changed: list[tuple[int, GroupState, GroupState]]) -> None:
    if not changed:
        return
    found = ErrorGroup.objects.in_bulk([pk for pk, _, _ in changed])
    for pk, old, new in changed:
        kind = "regressed" if old is GroupState.RESOLVED else "snooze_ended"
        record_timeline([Happening("error_group", pk, kind, old, new)])
        what = "came back after it was resolved" if kind == "regressed" else "goes on after its snooze"
        raise_alerts([_raising("error.regression", found[pk], f"An error {what}: {_words(found[pk])}")])


def group_scope(group: ErrorGroup) -> str:
    """Return the scope of a group's alerts: it is about what failed."""
    return f"errors:{group.source}/group:{group.pk}"[:200]


def _raising(condition: str, group: ErrorGroup, message: str) -> Raising:
    details = {"group": group.pk, "code": group.code, "source": group.source, "operation": group.operation}
    severity = ErrorSeverity.of_rank(group.severity)
    return Raising(condition, group_scope(group), message, severity=severity, details=details)


def _words(group: ErrorGroup) -> str:
    return f"{group.code}, {group.source} {group.operation}: {group.title}"


def end_quiet_groups() -> None:
    """Let the alerts of new kinds be over that were not met for a day, or what is set instead."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT alert.scope FROM reliability_alert alert JOIN reliability_errorgroup grp"
            " ON grp.id = (alert.details->>'group')::bigint"
            " WHERE alert.condition = 'error.new_group' AND alert.resolved_at IS NULL"
            " AND grp.last_seen_at < clock_timestamp() - make_interval(hours => 1) * %s",
            [read_thresholds("error.new_group")["quiet_hours"]],
        )
        quiet = [row[0] for row in cursor.fetchall()]
    if quiet:
        end_alerts([("error.new_group", scope) for scope in quiet], by="", reason="not met for long")
