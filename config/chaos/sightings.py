"""When a record of ours first showed a fault: the rows that count, by what the scenario says shows it.

``detect`` in a scenario file is one of the names in ``_ROWS``, with what it is about after a colon:
``process``, ``lost_jobs``, ``late_jobs``, ``errors:sim-a``, ``circuit:sim-a``, ``stream:sim-a``, ``dead_letter``,
``recovery:memory_lost``, ``alert:stream.silent``, ``unready`` (the health page) or ``order:unknown``.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from config.chaos.fault_log import FaultEntry
from config.chaos.records import BrokerCall, Sighting
from config.chaos.scenario import ScenarioError
from config.chaos.stack import Stack

_ROWS = {
    "process": """
        SELECT 'process ' || name || ' ended: ' || end_reason, ended_at AS at FROM reliability_heartbeat
        WHERE ended_at > %(since)s AND started_at < %(since)s AND (pid = ANY(%(victims)s) OR kind = %(about)s)""",
    "lost_jobs": """
        SELECT 'a job was taken from its process: ' || error_code, recorded_at AS at FROM reliability_jobattempt
        WHERE recorded_at > %(since)s AND outcome = 'lost'""",
    "late_jobs": """
        SELECT 'a late answer was kept as evidence: ' || error_code, recorded_at AS at FROM reliability_jobattempt
        WHERE recorded_at > %(since)s AND outcome = 'late'""",
    "errors": """
        SELECT code || ' of ' || source, recorded_at AS at FROM reliability_errorevent
        WHERE recorded_at > %(since)s AND source LIKE %(about)s || '%%'""",
    "circuit": """
        SELECT circuit || ' opened: ' || cause, at FROM reliability_circuittransition
        WHERE at > %(since)s AND circuit LIKE %(about)s || '%%' AND to_state = 'open'""",
    "stream": """
        SELECT 'stream of ' || account.name || ' ' || change.kind || ' ' || change.endpoint, change.at
        FROM brokers_streamchange change JOIN brokers_account account ON account.id = change.account_id
        WHERE change.at > %(since)s AND account.name = %(about)s
          AND change.kind IN ('silent', 'mute', 'down', 'switched', 'standby_down', 'unreachable', 'calls_moved')""",
    "recovery": """
        SELECT 'recovery wanted: ' || kind || ' ' || reason, noticed_at AS at FROM reconciliation_recoverytrigger
        WHERE noticed_at > %(since)s AND kind LIKE %(about)s || '%%'""",
    "alert": """
        SELECT 'alert ' || condition || ' ' || scope, last_raised_at AS at FROM reliability_alert
        WHERE last_raised_at > %(since)s AND condition LIKE %(about)s || '%%'""",
    "order": """
        SELECT 'order ' || order_id || ' ' || to_state, recorded_at AS at FROM brokers_orderevent
        WHERE recorded_at > %(since)s AND to_state = %(about)s""",
    "dead_letter": """
        SELECT 'dead letter ' || kind || ' ' || error_code, finished_at AS at FROM reliability_job
        WHERE finished_at > %(since)s AND state = 'dead'""",
}
UNREADY = "unready"
NAMES = (*_ROWS, UNREADY)


def see(
    stack: Stack, fault: FaultEntry, calls: Sequence[BrokerCall], unready: Sequence[tuple[float, str]]
) -> Sighting | None:
    """Return the first record that shows a fault, or None.

    Time counts from the first effect that is visible outside: the first answer of a broker that was spoiled, where one
    was, else the fault itself. ``unready`` are the moments at which the health page was not well.
    """
    name, _, about = fault.detect.partition(":")
    if name == UNREADY:
        first = next(((at, text) for at, text in unready if at >= fault.on), None)
        return Sighting(fault.number, f"health page: {first[1]}"[:200], first[0] - fault.on) if first else None
    if name not in _ROWS:
        raise ScenarioError(f"detect {fault.detect!r} is none of: {', '.join(NAMES)}")
    since = fault.began_at
    found = stack.query(
        f"SELECT * FROM ({_ROWS[name]}) rows (what, at) ORDER BY at LIMIT 1",
        {"since": since, "about": about, "victims": fault.victims},
    )
    if not found:
        return None
    what, at = found[0]
    return Sighting(fault.number, str(what)[:200], max(0.0, (at - _first_effect(fault, calls, since)).total_seconds()))


def _first_effect(fault: FaultEntry, calls: Sequence[BrokerCall], since: datetime) -> datetime:
    account = fault.target if fault.target.startswith("sim-") else ""
    spoiled = [
        call.at
        for call in calls
        if call.kind == "reply" and call.account == account and call.outcome != "sent" and call.at > since
    ]
    lasted = timedelta(seconds=fault.over - fault.on)
    return min((at for at in spoiled if at <= since + lasted), default=since)
