"""Conditions that are looked at rather than reported: what is open and over, and what nobody is there to report.

Each check is set-based and reads indexes of what is open or due. Apps above add theirs with ``add_check``.
"""

import socket
import time
from collections.abc import Callable

from django.db import connection
from django.utils import timezone

from reliability.selectors.service_levels import latest_sample_at
from reliability.services.alert_evaluation import NoDataError
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, end_alerts, follow_condition, resolve_alert
from reliability.services.changes import expire_changes
from reliability.services.error_groups import end_quiet_groups
from reliability.services.interventions import check_due_interventions
from reliability.services.servers_away import check_redis

Check = Callable[[], None]

_DEAD_LETTERS_GONE = """
SELECT alert.scope FROM reliability_alert alert
WHERE alert.condition = 'job.dead_letter' AND alert.resolved_at IS NULL
  AND NOT EXISTS (SELECT FROM reliability_job job
                  WHERE job.state = 'dead' AND job.kind = substr(alert.scope, length('jobs:') + 1))
"""

# A replacement is a process of the same name that started after the last one of that name had died.
_PROCESSES_REPLACED = """
SELECT alert.scope FROM reliability_alert alert
WHERE alert.condition = 'process.dead' AND alert.resolved_at IS NULL AND alert.clears_at IS NULL
  AND EXISTS (SELECT FROM reliability_heartbeat beat
              WHERE beat.ended_at IS NULL AND beat.name = substr(alert.scope, length('process:') + 1)
                AND beat.started_at > alert.last_raised_at - interval '5 seconds')
"""

_CIRCUITS = """
SELECT alert.scope FROM reliability_alert alert
JOIN LATERAL (
    SELECT to_state FROM reliability_circuittransition one
    WHERE one.circuit = substr(alert.scope, length('circuit:') + 1) ORDER BY one.at DESC, one.version DESC LIMIT 1
) latest ON latest.to_state NOT IN ('open', 'forced_open', 'half_open')
WHERE alert.condition = 'circuit.opened' AND alert.resolved_at IS NULL AND alert.clears_at IS NULL
"""

# Not EXISTS, which PostgreSQL may turn into a join that reads the whole backlog to know that some of it is late.
_LATE_LANES = """
SELECT lane.name, (lane.paused_at IS NOT NULL) FROM reliability_lane lane CROSS JOIN LATERAL (
    SELECT 1 FROM reliability_job job
    WHERE job.lane = lane.name AND job.state = 'ready'
      AND job.run_at < statement_timestamp() - make_interval(secs => %s)
    LIMIT 1
) late
"""

_BEHIND = """
SELECT kind, last_error FROM reliability_retentionpolicy
WHERE coalesce(last_run_at, created_at) < clock_timestamp() - make_interval(secs => %s)
"""

_BEAT_TICK = """
SELECT extract(epoch FROM clock_timestamp())::float - max((detail->>'ticked_at')::float)
FROM reliability_heartbeat
WHERE kind = 'beat' AND detail ? 'ticked_at' AND beat_at > clock_timestamp() - interval '1 day'
"""


SAMPLES_LATE_SECONDS = 60.0


def _scopes(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]


def check_dead_letters() -> None:
    """A dead-letter alert is over once no job of its kind is dead."""
    gone = _scopes(_DEAD_LETTERS_GONE)
    if gone:
        end_alerts([("job.dead_letter", scope) for scope in gone], by="", reason="none of them is left")


def check_processes() -> None:
    """A dead process counts as replaced once another of its name lives."""
    for scope in _scopes(_PROCESSES_REPLACED):
        resolve_alert("process.dead", scope, reason="another process of its name lives")


def check_circuits() -> None:
    """What a late or lost transition left open is over once the circuit's last known change closed it."""
    for scope in _scopes(_CIRCUITS):
        resolve_alert("circuit.opened", scope, reason="the circuit has closed")


def check_lanes() -> None:
    """A lane is late while a due job has waited for too long; waiting for a circuit is not being due."""
    with connection.cursor() as cursor:
        cursor.execute(_LATE_LANES, [read_thresholds("lane.late")["wait_seconds"]])
        late = cursor.fetchall()
    present = [
        Raising("lane.late", f"lane:{name}", f"The lane {name} is {'paused' if paused else 'behind'}: due work waits.")
        for name, paused in late
    ]
    follow_condition("lane.late", present, reason="nothing waits that long any more")


def check_beat() -> None:
    """Beat is late when none of those that registered today has ticked for too long."""
    with connection.cursor() as cursor:
        cursor.execute(_BEAT_TICK)
        age = cursor.fetchone()[0]
    silent = {} if age is not None else {"process:beat": "no scheduler has registered for a day"}
    late = age is not None and age > read_thresholds("beat.late")["silent_seconds"]
    text = f"The scheduler has not ticked for {age:.0f} seconds." if late else ""
    present = [Raising("beat.late", "process:beat", text)] if late else []
    follow_condition("beat.late", present, reason="it ticks again", unknown=silent)


def check_clock() -> None:
    """The clock of the machine that watches is held against the database's, less the way there and back."""
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float")
        theirs = float(cursor.fetchone()[0])
    way = time.time() - before
    drift = abs(theirs - (before + way / 2)) - way / 2
    name = socket.gethostname()[:100]
    far = drift > read_thresholds("clock.drift")["drift_seconds"]
    text = f"The clock of {name} is {drift:.1f} s away from the database's."
    present = [Raising("clock.drift", f"host:{name}", text)] if far else []
    follow_condition("clock.drift", present, reason="the clocks agree", prefix=f"host:{name}")


def check_upkeep() -> None:
    """Upkeep runs every hour; it is behind once it has not run to its end for several."""
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, [3600 * read_thresholds("upkeep.behind")["late_hours"]])
        behind = cursor.fetchall()
    present = [
        Raising("upkeep.behind", f"retention:{kind}", f"Upkeep of {kind} is behind: {error or 'it did not run'}.")
        for kind, error in behind
    ]
    follow_condition("upkeep.behind", present, reason="it has run to its end")


def check_measured() -> None:
    """Rates and budgets are judged by samples: without fresh ones nothing is known of them."""
    at = latest_sample_at()
    seconds = (timezone.now() - at).total_seconds() if at is not None else 0.0
    if seconds > SAMPLES_LATE_SECONDS:
        raise NoDataError(f"calls were not counted since {at:%Y-%m-%d %H:%M:%S}Z")


CHECKS: list[Check] = [
    check_dead_letters,
    check_processes,
    check_circuits,
    check_lanes,
    end_quiet_groups,
    check_due_interventions,
    expire_changes,
    check_beat,
    check_clock,
    check_upkeep,
    check_measured,
    check_redis,
]


# What cannot be said while a check fails.
JUDGES: dict[Check, tuple[str, ...]] = {
    check_dead_letters: ("job.dead_letter",),
    check_processes: ("process.dead",),
    check_circuits: ("circuit.opened",),
    check_lanes: ("lane.late",),
    end_quiet_groups: ("error.new_group",),
    check_due_interventions: ("intervention.needed",),
    check_beat: ("beat.late",),
    check_clock: ("clock.drift",),
    check_upkeep: ("upkeep.behind",),
    check_measured: ("error.rate", "slo.burn_rate"),
    check_redis: ("redis.away",),
    expire_changes: (),  # it ends what nobody confirmed, and judges nothing
}


def add_check(check: Check, *conditions: str) -> None:
    """Have the leading sentinel do ``check``, in a transaction of its own, as often as ``core.looks`` says.

    It judges ``conditions``.
    """
    if check not in CHECKS:
        CHECKS.append(check)
        JUDGES[check] = conditions
