"""When a record of ours first showed a fault: the rows that count, by what the scenario says shows it.

``detect`` in a scenario file is one of the names in ``_ROWS``, with what it is about after a colon:
``process``, ``lost_jobs``, ``late_jobs``, ``errors:sim-a``, ``circuit:sim-a``, ``stream:sim-a``, ``dead_letter``,
``recovery:memory_lost``, ``alert:stream.silent``, ``unready`` (the health page) or ``order:unknown``.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Any

from config.chaos.fault_log import FaultEntry
from config.chaos.records import BrokerCall, Sighting
from config.chaos.scenario import ScenarioError
from config.chaos.stack import Stack

_ROWS = {
    "process": """
        SELECT 'process ' || name || ' ended: ' || end_reason, ended_at AS at, pid FROM reliability_heartbeat
        WHERE ended_at > %(since)s AND started_at < %(since)s AND (pid = ANY(%(victims)s) OR kind = %(about)s)""",
    "lost_jobs": """
        SELECT 'a job was taken from its process: ' || error_code, recorded_at AS at, id FROM reliability_jobattempt
        WHERE recorded_at > %(since)s AND outcome = 'lost'""",
    "late_jobs": """
        SELECT 'a late answer was kept as evidence: ' || error_code, recorded_at AS at, id FROM reliability_jobattempt
        WHERE recorded_at > %(since)s AND outcome = 'late'""",
    "errors": """
        SELECT code || ' of ' || source, recorded_at AS at, id FROM reliability_errorevent
        WHERE recorded_at > %(since)s AND source LIKE %(about)s || '%%'""",
    "circuit": """
        SELECT circuit || ' opened: ' || cause, at, id FROM reliability_circuittransition
        WHERE at > %(since)s AND circuit LIKE %(about)s || '%%' AND to_state = 'open'""",
    "stream": """
        SELECT 'stream of ' || account.name || ' ' || change.kind || ' ' || change.endpoint, change.at, change.id
        FROM brokers_streamchange change JOIN brokers_account account ON account.id = change.account_id
        WHERE change.at > %(since)s AND account.name = %(about)s
          AND change.kind IN ('silent', 'mute', 'down', 'switched', 'standby_down', 'unreachable', 'calls_moved')""",
    "recovery": """
        SELECT 'recovery wanted: ' || kind || ' ' || reason, noticed_at AS at, id FROM reconciliation_recoverytrigger
        WHERE noticed_at > %(since)s AND kind LIKE %(about)s || '%%'""",
    "alert": """
        SELECT 'alert ' || condition || ' ' || scope, last_raised_at AS at, id FROM reliability_alert
        WHERE last_raised_at > %(since)s AND condition LIKE %(about)s || '%%'""",
    "order": """
        SELECT 'order ' || order_id || ' ' || to_state, recorded_at AS at, id FROM brokers_orderevent
        WHERE recorded_at > %(since)s AND to_state = %(about)s""",
    "dead_letter": """
        SELECT 'dead letter ' || kind || ' ' || error_code, finished_at AS at, id FROM reliability_job
        WHERE finished_at > %(since)s AND state = 'dead'""",
}
UNREADY = "unready"
_EVER = timedelta(days=1)
NAMES = (*_ROWS, UNREADY)


Used = set[tuple[str, object]]


def see_all(
    stack: Stack, faults: Sequence[FaultEntry], calls: Sequence[BrokerCall], unready: Sequence[tuple[float, str]]
) -> list[Sighting]:
    """Return the first record that shows each fault, for those that one shows.

    A record shows one fault: the newest that it can be of. ``unready`` are the moments at which the health page was
    not well.
    """
    used: Used = set()
    waiting = sorted((fault for fault in faults if fault.detect), key=lambda fault: fault.on)
    seen = [_see(stack, fault, _following(fault, waiting), calls, unready, used) for fault in waiting]
    return [one for one in seen if one is not None]


def _following(fault: FaultEntry, faults: Sequence[FaultEntry]) -> FaultEntry | None:
    """Return the fault from whose beginning on the same record would be of that one; None: there is no such fault.

    Processes that died are told apart by their ids.
    """
    if fault.detect == "process" and fault.victims:
        return None
    return next((one for one in faults if one.on > fault.on and one.detect == fault.detect), None)


def _see(
    stack: Stack,
    fault: FaultEntry,
    following: FaultEntry | None,
    calls: Sequence[BrokerCall],
    unready: Sequence[tuple[float, str]],
    used: Used,
) -> Sighting | None:
    """Return the first record that shows a fault, or None.

    Time counts from the first effect that is visible outside: the first answer of a broker that was spoiled, where one
    was, else the fault itself.
    """
    name, _, about = fault.detect.partition(":")
    if name == UNREADY:
        until = following.on if following else inf
        rows: list[tuple[str, float, object]] = [
            (f"health page: {text}", at, at) for at, text in unready if fault.on <= at < until
        ]
        first = _take(name, rows, used)
        return Sighting(fault.number, first[0][:200], first[1] - fault.on) if first else None
    if name not in _ROWS:
        raise ScenarioError(f"detect {fault.detect!r} is none of: {', '.join(NAMES)}")
    since = fault.began_at
    found = stack.query(
        f"SELECT * FROM ({_ROWS[name]}) found (what, at, number) WHERE at < %(until)s"
        " ORDER BY at, number LIMIT %(most)s",
        {
            "since": since,
            "until": following.began_at if following else since + _EVER,
            "about": about,
            "victims": fault.victims,
            "most": len(used) + 1,
        },
    )
    if (row := _take(name, found, used)) is None:
        return None
    what, at, _ = row
    return Sighting(fault.number, str(what)[:200], max(0.0, (at - _first_effect(fault, calls, since)).total_seconds()))


def _take(name: str, rows: Sequence[tuple[Any, ...]], used: Used) -> tuple[Any, ...] | None:
    """Return the first row that shows no other fault, and keep it from showing a further one."""
    for row in rows:
        if (name, row[2]) not in used:
            used.add((name, row[2]))
            return row
    return None


def _first_effect(fault: FaultEntry, calls: Sequence[BrokerCall], since: datetime) -> datetime:
    account = fault.target if fault.target.startswith("sim-") else ""
    spoiled = [
        call.at
        for call in calls
        if call.kind == "reply" and call.account == account and call.outcome != "sent" and call.at > since
    ]
    lasted = timedelta(seconds=fault.over - fault.on)
    return min((at for at in spoiled if at <= since + lasted), default=since)
