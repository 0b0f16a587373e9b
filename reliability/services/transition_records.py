"""Every change of a circuit's state becomes a row and a log line; while the database is away it is kept."""

import json
import logging
import threading
from collections import deque
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from reliability.core.alerts import LONGEST_SCOPE
from reliability.core.breaker import BreakerState, PinnedState
from reliability.core.text import storable
from reliability.models import Circuit
from reliability.services.alerting import Raising, raise_alerts, resolve_alert
from reliability.services.background import background
from reliability.services.circuits import Transition

MOST_KEPT = 10_000
_BATCH = 500
_TOO_LONG_KEPT = 200

_INSERT = """
INSERT INTO reliability_circuittransition
    (circuit, generation, version, from_state, to_state, cause, reason, counts, process, is_local, at)
SELECT * FROM json_to_recordset(%s) AS row(
    circuit text, generation text, version bigint, from_state text, to_state text, cause text, reason text,
    counts jsonb, process text, is_local boolean, at timestamptz)
ON CONFLICT (circuit, generation, version) DO NOTHING
RETURNING circuit, to_state, reason, is_local, at, version
"""

_OPEN = frozenset({BreakerState.OPEN.value, PinnedState.FORCED_OPEN.value})
_CLOSED = frozenset({BreakerState.CLOSED.value, PinnedState.DISABLED.value, PinnedState.METRICS_ONLY.value})


class _Written(NamedTuple):
    """A transition that had no row before."""

    circuit: str
    to_state: str
    reason: str
    is_local: bool
    at: datetime
    version: int


logger = logging.getLogger(__name__)


class TransitionRecorder:
    """Notes transitions in memory at once; ``write`` brings them into the database, each one once.

    At most ``MOST_KEPT`` wait; beyond, the oldest are left to the processes that also know them, and the log.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Transition] = deque()
        self.lost = 0

    def note(self, transition: Transition) -> None:
        """Take a transition; never blocks on the database."""
        _log(transition)
        with self._lock:
            if len(self._waiting) >= MOST_KEPT:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(transition)
        if transition.to_state.value in _OPEN:
            background.hurry()  # people are to know within a second
        else:
            background.wake()

    def write(self) -> None:
        """Write what waits, oldest first.

        Raises:
            DatabaseError: what was not written waits on.
        """
        while True:
            with self._lock:
                batch = [self._waiting[place] for place in range(min(_BATCH, len(self._waiting)))]
            if not batch:
                return
            write_transitions(batch)
            with self._lock:
                written = {id(transition) for transition in batch}
                while self._waiting and id(self._waiting[0]) in written:
                    self._waiting.popleft()

    def waiting(self) -> int:
        return len(self._waiting)


def write_transitions(transitions: list[Transition]) -> None:
    """Insert transitions that have no row yet, and a row for each circuit that is new; raises ``DatabaseError``."""
    rows = [_row(transition) for transition in transitions]
    names = sorted({str(row["circuit"]) for row in rows})
    with transaction.atomic(), connection.cursor() as cursor:
        Circuit.objects.bulk_create([Circuit(name=name) for name in names], ignore_conflicts=True)
        cursor.execute(_INSERT, [json.dumps(rows)])
        _tell([_Written(*row) for row in cursor.fetchall()])


def _tell(written: list[_Written]) -> None:
    """Raise an alert for each circuit that opened, and let those be over that closed: the last change counts."""
    latest = {one.circuit: one for one in sorted(written, key=lambda one: (one.at, one.version)) if not one.is_local}
    opened = [one for one in latest.values() if one.to_state in _OPEN]
    texts = {one: f"The circuit {one.circuit} opened. {one.reason}".strip() for one in opened}
    raise_alerts([Raising("circuit.opened", _scope(one), text) for one, text in texts.items()])
    for one in latest.values():
        if one.to_state in _CLOSED:
            resolve_alert("circuit.opened", _scope(one), reason="the circuit has closed")


def _scope(written: _Written) -> str:
    return f"circuit:{written.circuit}"[:LONGEST_SCOPE]


def _row(transition: Transition) -> dict[str, object]:
    counts = transition.counts
    row = {
        "circuit": transition.circuit[:_TOO_LONG_KEPT],
        "generation": transition.generation[:64],
        "version": transition.version,
        "from_state": transition.from_state.value,
        "to_state": transition.to_state.value,
        "cause": transition.cause[:32],
        "reason": transition.reason[:1000],
        "counts": {
            "successes": counts.successes,
            "failures": counts.failures,
            "slow": counts.slow,
            "consecutive_failures": counts.consecutive_failures,
        },
        "process": transition.process[:150],
        "is_local": transition.is_local,
        "at": transition.at.isoformat(),
    }
    return dict(storable(row))


def _log(transition: Transition) -> None:
    level = logging.WARNING if transition.to_state.value in ("open", "forced_open") else logging.INFO
    logger.log(
        level,
        "circuit %s: %s to %s (%s)",
        transition.circuit,
        transition.from_state.value,
        transition.to_state.value,
        transition.cause,
        extra={
            "circuit": transition.circuit,
            "from_state": transition.from_state.value,
            "to_state": transition.to_state.value,
            "cause": transition.cause,
            "reason": transition.reason,
            "generation": transition.generation,
            "circuit_version": transition.version,
            "caused_by": transition.process,
            "is_local": transition.is_local,
        },
    )


recorder = TransitionRecorder()
