"""Calling back the jobs that wait for a circuit, when it lets calls through sooner than they hoped."""

import logging
import threading
import time
from dataclasses import dataclass

from django.db import connection, transaction

from reliability import dispatch
from reliability.core.breaker import BreakerState, PinnedState
from reliability.services.background import background
from reliability.services.circuits import Transition

PER_SECOND = 500.0
FIRST = 20
_AGAIN_SECONDS = 1.5

# The first comes back now and each further one a little later: a broker that is just back meets no herd.
_RECALL = """
WITH called AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY priority, id) AS place FROM (
        SELECT id, priority FROM reliability_job
        WHERE waits_for = %(circuit)s AND state = 'ready' AND run_at > clock_timestamp()
        ORDER BY priority, id LIMIT %(most)s FOR UPDATE SKIP LOCKED
    ) AS waiting
)
UPDATE reliability_job job
SET run_at = least(job.run_at, clock_timestamp() + make_interval(secs => (called.place - 1) / %(per_second)s::float))
FROM called WHERE job.id = called.id
RETURNING job.lane
"""
_PASSING = frozenset({BreakerState.CLOSED, PinnedState.DISABLED, PinnedState.METRICS_ONLY})

logger = logging.getLogger(__name__)


def recall_jobs(circuit: str, *, most: int | None = None, per_second: float = PER_SECOND) -> int:
    """Let jobs that wait for ``circuit`` run from now on, at ``per_second`` of them; returns how many.

    Order work comes first. None comes later than it would have by itself.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_RECALL, {"circuit": circuit, "most": most, "per_second": per_second})
        lanes = [row[0] for row in cursor.fetchall()]
        for lane in set(lanes):
            dispatch.nudge_on_commit(lane)
    return len(lanes)


@dataclass(frozen=True, slots=True)
class _Call:
    circuit: str
    most: int | None
    due: float


class Recaller:
    """Hears of circuits that let calls through and calls their jobs back, in the thread of background duties.

    It calls twice: a job that had seen the circuit open may write its wait a moment after the first call.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[_Call] = []

    def hear(self, transition: Transition) -> None:
        """Take a transition; never blocks on the database."""
        if transition.to_state in _PASSING:
            most = None
        elif transition.to_state is BreakerState.HALF_OPEN:
            most = FIRST
        else:
            return
        now = time.monotonic()
        with self._lock:
            self._calls += [_Call(transition.circuit, most, now), _Call(transition.circuit, most, now + _AGAIN_SECONDS)]
        background.hurry()

    def call(self) -> None:
        """Call back the jobs whose moment has come.

        Raises:
            DatabaseError: what could not be done is tried again.
        """
        with self._lock:
            due = [call for call in self._calls if call.due <= time.monotonic()]
        for call in due:
            count = recall_jobs(call.circuit, most=call.most)
            with self._lock:
                self._calls.remove(call)
            if count:
                logger.info("waiting jobs called back", extra={"circuit": call.circuit, "jobs": count})


recaller = Recaller()
