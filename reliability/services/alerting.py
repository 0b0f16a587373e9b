"""Raise and resolve alerts: at most one open for a condition and a scope, repeats counted without a hot row.

Both belong to the caller's transaction: an alert is there if and only if what it tells of was written. A repeat is
one inserted row, which the alert keeper adds up (``alert_keeper``); only the first raise, an end and a change of
severity touch the alert itself.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from reliability.core.alerts import FLAP_THRESHOLD, FLAP_WINDOW, LONGEST_SCOPE, AlertState, subject_of
from reliability.core.conditions import get_condition
from reliability.core.correlation import current_correlation_id
from reliability.core.taxonomy import ErrorSeverity
from reliability.core.text import storable
from reliability.models import Alert, AlertOccurrence, AlertRule
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.owners import owner_of
from reliability.services.timeline import Happening, record_timeline

_ROUNDS = 5

_FIND = """
SELECT alert.id, alert.condition, alert.scope
FROM unnest(%s::text[], %s::text[]) AS wanted (condition, scope)
JOIN reliability_alert alert
  ON alert.condition = wanted.condition AND alert.scope = wanted.scope AND alert.resolved_at IS NULL
"""

_INSERT = """
INSERT INTO reliability_alert
    (condition, scope, subject, domain, severity, state, message, details, correlation_id, occurrences, flaps,
     flapped_at, clear_reason, no_data_reason, acknowledged_by, resolved_by, resolved_reason, raised_at, last_raised_at)
SELECT row.condition, row.scope, row.subject, row.domain, row.severity, 'open', row.message, row.details,
       row.correlation_id, 1, coalesce(former.flaps + 1, 0), former.now,
       '', '', '', '', '', clock_timestamp(), clock_timestamp()
FROM json_to_recordset(%s) AS row (condition text, scope text, subject text, domain text, severity smallint,
                                   message text, details jsonb, correlation_id text,
                                   comes_back_seconds double precision)
LEFT JOIN LATERAL (
    SELECT flaps, clock_timestamp() AS now FROM reliability_alert one
    WHERE one.condition = row.condition AND one.scope = row.scope
      AND one.resolved_at > clock_timestamp() - make_interval(secs => row.comes_back_seconds)
    ORDER BY one.resolved_at DESC LIMIT 1) AS former ON true
ORDER BY row.condition, row.scope
ON CONFLICT (condition, scope) WHERE resolved_at IS NULL DO NOTHING
RETURNING id, condition, scope
"""

_COME_BACK = """
WITH before AS MATERIALIZED (
    SELECT alert.id, alert.clears_at IS NOT NULL AS was_clearing, alert.severity > wanted.severity AS is_worse,
           wanted.severity
    FROM unnest(%s::bigint[], %s::smallint[]) AS wanted (id, severity)
    JOIN reliability_alert alert ON alert.id = wanted.id AND alert.resolved_at IS NULL
    WHERE alert.clears_at IS NOT NULL OR alert.severity > wanted.severity OR alert.no_data_since IS NOT NULL
    ORDER BY alert.id FOR UPDATE OF alert
)
UPDATE reliability_alert alert
SET flaps = alert.flaps + before.was_clearing::int,
    flapped_at = CASE WHEN before.was_clearing THEN clock_timestamp() ELSE alert.flapped_at END,
    clears_at = NULL, clear_reason = '', no_data_since = NULL,
    no_data_reason = '',
    severity = least(alert.severity, before.severity)
FROM before WHERE alert.id = before.id
RETURNING alert.id,
          CASE WHEN before.was_clearing THEN 'came_back' WHEN before.is_worse THEN 'worse' ELSE 'data_again' END
"""

_RESOLVE = """
WITH ending AS MATERIALIZED (
    SELECT alert.id, alert.state FROM unnest(%s::text[], %s::text[]) AS wanted (condition, scope)
    JOIN reliability_alert alert
      ON alert.condition = wanted.condition AND alert.scope = wanted.scope AND alert.resolved_at IS NULL
    ORDER BY alert.id FOR UPDATE OF alert
)
UPDATE reliability_alert alert
SET state = 'resolved', resolved_at = clock_timestamp(), resolved_by = %s, resolved_reason = %s, clears_at = NULL
FROM ending WHERE alert.id = ending.id
RETURNING alert.id, ending.state
"""

_KNOWN = """
UPDATE reliability_alert
SET no_data_since = NULL, no_data_reason = '', clears_at = clears_at + (clock_timestamp() - no_data_since)
WHERE condition = %s AND scope = ANY(%s) AND resolved_at IS NULL AND no_data_since IS NOT NULL
RETURNING id
"""

_LET_CLEAR = """
UPDATE reliability_alert
SET clears_at = clock_timestamp() + make_interval(secs => %(seconds)s), clear_reason = %(reason)s
WHERE condition = %(condition)s AND scope = %(scope)s AND resolved_at IS NULL AND clears_at IS NULL
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Raising:
    """One alert to raise: a condition of the catalogue, what it is about, and what a person should read first."""

    condition: str
    scope: str
    message: str
    severity: ErrorSeverity | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def raise_alert(
    condition: str,
    scope: str,
    *,
    message: str,
    severity: ErrorSeverity | None = None,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Raise one alert, in the caller's transaction; while one is open for the pair, count one more occurrence.

    Args:
        condition: A name of ``reliability.core.conditions``.
        scope: What it is about: ``account:sim-a``, ``account:sim-a/symbol:AAPL``, ``order:<id>``; at most 200
            characters. An order's details should name its ``account``, so that it joins the account's incident.
        severity: Worse or milder than what the operator or the catalogue set; a repeat can only make it worse.

    Returns:
        The alert's id.

    Raises:
        UnknownConditionError: the catalogue has no such condition.
        ValueError: the scope is empty or too long.
    """
    return raise_alerts([Raising(condition, scope, message, severity, details or {})])[0]


def raise_alerts(raisings: Sequence[Raising]) -> list[int]:
    """Raise many alerts at once, as ``raise_alert``; returns their ids in the same order."""
    if not raisings:
        return []
    wanted: dict[_Key, list[Raising]] = defaultdict(list)
    for raising in raisings:
        get_condition(raising.condition)
        if not 0 < len(raising.scope) <= LONGEST_SCOPE:
            raise ValueError(f"a scope has 1 to {LONGEST_SCOPE} characters")
        wanted[_key(raising)].append(raising)
    ids: dict[_Key, int] = {}
    severities = _severities(wanted)
    for _ in range(_ROUNDS):  # more than one only if an alert is resolved in this very moment
        missing = sorted(wanted.keys() - ids.keys())
        if not missing:
            break
        found = _find_open(missing)
        _count_again(found, {key: wanted[key] for key in found}, severities)
        fresh = _insert([(wanted[key][0], severities[key]) for key in missing if key not in found])
        _count_again(fresh, {key: wanted[key][1:] for key in fresh}, severities)
        ids.update(found | fresh)
    return [ids[_key(raising)] for raising in raisings]


def resolve_alert(condition: str, scope: str, *, reason: str) -> bool:
    """Say that a condition is over, in the caller's transaction; returns whether an alert was open.

    A condition with a hold-down is resolved once it has been over for so long; raised again before, it goes on.

    Raises:
        UnknownConditionError: the catalogue has no such condition.
    """
    hold_down = _hold_down_seconds(condition)
    if hold_down <= 0:
        return bool(end_alerts([(condition, scope)], by="", reason=reason))
    parameters: Any = {"condition": condition, "scope": scope, "seconds": hold_down, "reason": storable(reason)[:500]}
    with connection.cursor() as cursor:
        cursor.execute(_LET_CLEAR, parameters)
        clearing = [row[0] for row in cursor.fetchall()]
    record_timeline(Happening("alert", one, "over", reason=reason) for one in clearing)
    return bool(clearing) or Alert.objects.filter(condition=condition, scope=scope, resolved_at=None).exists()


def end_alerts(pairs: Sequence[tuple[str, str]], *, by: str, reason: str) -> list[int]:
    """Resolve the open alerts of these conditions and scopes now, whatever their hold-down; returns their ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RESOLVE,
            [[pair[0] for pair in pairs], [pair[1] for pair in pairs], by, storable(reason)[:500]],
        )
        ended = cursor.fetchall()
    record_timeline(
        Happening("alert", pk, "resolved", state, AlertState.RESOLVED, actor=by, reason=reason) for pk, state in ended
    )
    return [pk for pk, _ in ended]


def follow_condition(
    condition: str,
    present: Sequence[Raising],
    *,
    reason: str,
    prefix: str = "",
    unknown: Mapping[str, str] | None = None,
) -> None:
    """Make the open alerts of a condition those of ``present``: raise what is new, let what is gone be over.

    What is open already is not counted again. ``prefix`` limits it to scopes that begin so. ``unknown`` are scopes of
    which nothing can be said now, with the reason: what is open of them stays, marked as without data. Call it from
    one process at a time, as a check of the alert keeper.
    """
    silent = unknown or {}
    rows = Alert.objects.filter(condition=condition, resolved_at=None, scope__startswith=prefix)
    told = {scope: (clears_at, since) for scope, clears_at, since in rows.values_list(*_FOLLOWED)}
    _mark_known(condition, [scope for scope, (_, since) in told.items() if since is not None and scope not in silent])
    _mark_unknown(condition, {scope: why for scope, why in silent.items() if scope in told and told[scope][1] is None})
    raise_alerts([one for one in present if one.scope not in told or told[one.scope][0] is not None])
    over = {scope for scope, (clears_at, _) in told.items() if clears_at is None}
    over -= {one.scope for one in present} | silent.keys()
    for scope in sorted(over):
        resolve_alert(condition, scope, reason=reason)


# -- inside ---------------------------------------------------------------------------------

_Key = tuple[str, str]
_FOLLOWED = ("scope", "clears_at", "no_data_since")


def _mark_unknown(condition: str, reasons: Mapping[str, str]) -> None:
    for scope, reason in reasons.items():
        rows = Alert.objects.filter(condition=condition, scope=scope, resolved_at=None, no_data_since=None)
        for pk in list(rows.values_list("pk", flat=True)):
            rows.filter(pk=pk).update(no_data_since=Now(), no_data_reason=reason[:200])
            record_timeline([Happening("alert", pk, "no_data", reason=reason)])


def _mark_known(condition: str, scopes: Sequence[str]) -> None:
    """Take the mark away; a hold-down goes on where it stood still."""
    if not scopes:
        return
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [condition, list(scopes)])
        known = [row[0] for row in cursor.fetchall()]
    record_timeline(Happening("alert", pk, "data_again") for pk in known)


def _key(raising: Raising) -> _Key:
    return raising.condition, raising.scope


def _severities(wanted: Mapping[_Key, Sequence[Raising]]) -> dict[_Key, int]:
    """Return the rank of each: the worst that a caller names, else what the operator set, else the catalogue's."""
    names = {condition for condition, _ in wanted}
    rules = AlertRule.objects.filter(condition__in=names).exclude(severity=None)
    tuned = dict(rules.values_list("condition", "severity"))
    ranks = {}
    for key, group in wanted.items():
        usual = tuned.get(key[0]) or get_condition(key[0]).severity.rank
        ranks[key] = min(one.severity.rank if one.severity else usual for one in group)
    return ranks


def _hold_down_seconds(condition: str) -> float:
    usual = get_condition(condition).hold_down.total_seconds()
    tuned = AlertRule.objects.filter(condition=condition).values_list("hold_down_seconds", flat=True).first()
    return usual if tuned is None else float(tuned)


def _find_open(keys: Sequence[_Key]) -> dict[_Key, int]:
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [[key[0] for key in keys], [key[1] for key in keys]])
        return {(condition, scope): pk for pk, condition, scope in cursor.fetchall()}


def _insert(fresh: Sequence[tuple[Raising, int]]) -> dict[_Key, int]:
    if not fresh:
        return {}
    windows = _flap_seconds({raising.condition for raising, _ in fresh})
    rows = [_row(raising, severity, windows[raising.condition]) for raising, severity in fresh]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [json.dumps(rows, default=str)])
        born = {(condition, scope): pk for pk, condition, scope in cursor.fetchall()}
    record_timeline(
        Happening("alert", born[_key(raising)], "raised", to_state=AlertState.OPEN, reason=raising.message)
        for raising, _ in fresh
        if _key(raising) in born
    )
    return born


def _flap_seconds(conditions: set[str]) -> dict[str, float]:
    """Return, by condition, how soon after its end it came back rather than being a new one."""
    named = {name for name in conditions if any(one.name == FLAP_THRESHOLD for one in get_condition(name).thresholds)}
    usual = FLAP_WINDOW.total_seconds()
    return {name: read_thresholds(name)[FLAP_THRESHOLD] if name in named else usual for name in conditions}


def _subject(raising: Raising) -> str:
    """Return what fails together with it: the broker of the account that it is about, or what its scope names."""
    account = raising.details.get("account")
    if not account and raising.scope.startswith("account:"):
        account = subject_of(raising.scope)
    return owner_of(str(account)) if account else subject_of(raising.scope)


def _row(raising: Raising, severity: int, comes_back_seconds: float) -> dict[str, Any]:
    row = {
        "condition": raising.condition,
        "scope": raising.scope,
        "subject": _subject(raising)[:200],
        "domain": get_condition(raising.condition).domain.value,
        "severity": severity,
        "message": raising.message[:1000],
        "details": dict(raising.details),
        "correlation_id": current_correlation_id()[:64],
        "comes_back_seconds": comes_back_seconds,
    }
    return dict(storable(row))


def _count_again(ids: Mapping[_Key, int], repeats: Mapping[_Key, Sequence[Raising]], ranks: Mapping[_Key, int]) -> None:
    """Count repeats of open alerts; one that was about to be resolved, or is worse now, is changed itself."""
    keys = [key for key in ids if repeats[key]]
    if not keys:
        return
    AlertOccurrence.objects.bulk_create(
        AlertOccurrence(alert_id=ids[key], message=storable(one.message)[:1000]) for key in keys for one in repeats[key]
    )
    with connection.cursor() as cursor:
        cursor.execute(_COME_BACK, [[ids[key] for key in keys], [ranks[key] for key in keys]])
        changed = cursor.fetchall()
    record_timeline(Happening("alert", pk, kind) for pk, kind in changed)
