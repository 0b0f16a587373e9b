"""Keep alerts true: add up repeats, end what has been over for long enough, and look at what nobody reports.

Every duty is a statement or two over what is open, never over what was. One leading sentinel does them in a thread
of its own, so that a slow one delays no rescue.
"""

import logging
import threading
import time

from django.db import DatabaseError, InterfaceError, connection, connections, transaction

from reliability.core.alerts import AlertState
from reliability.core.looks import HASTENED, TICK_SECONDS, Rounds
from reliability.services.alert_conditions import CHECKS, JUDGES
from reliability.services.alert_evaluation import evaluate_in_transaction, hold_what_nobody_watched
from reliability.services.alert_rules import ensure_rules
from reliability.services.error_groups import BATCH as ERROR_BATCH
from reliability.services.error_groups import roll_up_errors
from reliability.services.escalation import run_due_escalations, tell_of_new_alerts
from reliability.services.incidents import follow_alerts
from reliability.services.silences import mark_silenced
from reliability.services.timeline import Happening, record_timeline

_BATCH = 10_000

_ADD_UP = """
WITH gone AS (
    DELETE FROM reliability_alertoccurrence
    WHERE id IN (SELECT id FROM reliability_alertoccurrence ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING id, alert_id, at, message
), total AS (
    SELECT alert_id, count(*) AS number, max(at) AS last, (array_agg(message ORDER BY id DESC))[1] AS message
    FROM gone GROUP BY alert_id
), counted AS (
    UPDATE reliability_alert alert
    SET occurrences = alert.occurrences + total.number, last_raised_at = greatest(alert.last_raised_at, total.last),
        message = total.message
    FROM total WHERE alert.id = total.alert_id
)
SELECT count(*) FROM gone
"""

_END_CLEARED = """
WITH ending AS MATERIALIZED (
    SELECT id, state FROM reliability_alert
    WHERE resolved_at IS NULL AND clears_at <= clock_timestamp() AND no_data_since IS NULL
    ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE reliability_alert alert
SET state = 'resolved', resolved_at = clock_timestamp(), resolved_reason = alert.clear_reason, clears_at = NULL
FROM ending WHERE alert.id = ending.id
RETURNING alert.id, ending.state, alert.clear_reason
"""

logger = logging.getLogger(__name__)


def add_up_repeats() -> int:
    """Count the repeats that were recorded since the last time into their alerts; returns how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ADD_UP, [_BATCH])
        return int(cursor.fetchone()[0])


def end_cleared() -> list[int]:
    """Resolve alerts whose condition has been over for its hold-down; returns their ids."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_END_CLEARED)
        ended = cursor.fetchall()
        record_timeline(
            Happening("alert", pk, "resolved", state, AlertState.RESOLVED, reason=reason) for pk, state, reason in ended
        )
    return [pk for pk, _, _ in ended]


_FOLLOWING = (end_cleared, mark_silenced, follow_alerts, run_due_escalations, tell_of_new_alerts)


def keep_alerts(rounds: Rounds | None = None) -> None:
    """Do every duty that is due once; without ``rounds`` all are.

    Raises ``DatabaseError`` when the database is away; one check that fails stops no other.
    """
    rounds, now = rounds or Rounds(), time.monotonic()
    if rounds.is_due("add_up_repeats", now):
        while add_up_repeats() == _BATCH:
            pass
    if rounds.is_due("roll_up_errors", now):
        while roll_up_errors() >= ERROR_BATCH:
            pass
    for check in CHECKS:
        if rounds.is_due(check.__name__, now):
            evaluate_in_transaction(check, JUDGES.get(check, ()))
    if rounds.is_new(_newest_alert()):
        rounds.hasten(*HASTENED)
    for duty in _FOLLOWING:
        if rounds.is_due(duty.__name__, now):
            duty()


def _newest_alert() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM reliability_alert")
        return int(cursor.fetchone()[0])


class AlertKeeper:
    """Keeps alerts while it leads; ``late_seconds`` is how long ago it last finished a round.

    ``evaluated_at`` is when it last did while leading, as seconds since 1970; other processes read it in the heartbeat.
    """

    def __init__(self) -> None:
        self.leads = False
        self._has_begun = False
        self._rounds = Rounds()
        self.evaluated_at: float | None = None
        self._finished = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alert-keeper", daemon=True)

    @property
    def late_seconds(self) -> float:
        return time.monotonic() - self._finished

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            if self.leads:
                self._keep()
            else:
                self._rounds.forget()
                self._finished, self._has_begun, self.evaluated_at = time.monotonic(), False, None
        connections.close_all()

    def _keep(self) -> None:
        try:
            if not self._has_begun:
                ensure_rules()
                hold_what_nobody_watched()
                self._has_begun = True
            keep_alerts(self._rounds)
            self._finished, self.evaluated_at = time.monotonic(), time.time()
        except (DatabaseError, InterfaceError) as error:
            self._rounds.forget()
            logger.warning("alerts cannot be kept for now", extra={"error": str(error).strip()})
            connections.close_all()
        except Exception:
            self._rounds.forget()
            logger.exception("alerts could not be kept")
