"""Errors of this process, counted exactly and written within a second: of a flood a sample, of all the number.

``note`` never touches the database. A kill -9 loses what was noted since the last writing, at most a second's;
what must not be lost has a row of its own already (an attempt, a dead letter).
"""

import json
import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from reliability.conf import get_conf
from reliability.core.classification import ClassifiedError
from reliability.core.correlation import current_correlation_id
from reliability.core.fingerprint import ErrorFacts, fingerprint_of, former_fingerprints
from reliability.core.guesses import code_of
from reliability.core.scrubbing import scrubbed
from reliability.core.text import storable
from reliability.services.background import background
from reliability.services.guarding.outcomes import CallOutcome, CallResult

MOST_KINDS = 2_000
MOST_SAMPLES = 20

_EVENTS = """
INSERT INTO reliability_errorevent
    (fingerprint, occurred_at, source, operation, code, category, severity, kind, place, message, correlation_id,
     subject, details)
SELECT * FROM json_to_recordset(%s) AS row(
    fingerprint text, occurred_at timestamptz, source text, operation text, code text, category text,
    severity smallint, kind text, place text, message text, correlation_id text, subject text, details jsonb)
"""
_TALLIES = """
INSERT INTO reliability_errortally (fingerprint, former, facts, number, stored, first_at, last_at)
SELECT * FROM json_to_recordset(%s) AS row(
    fingerprint text, former jsonb, facts jsonb, number bigint, stored bigint, first_at timestamptz,
    last_at timestamptz)
"""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kind:
    """One kind of error since the last writing: its number, and the first few of them."""

    first_at: datetime
    last_at: datetime
    number: int = 0
    samples: list[ErrorFacts] = field(default_factory=list)


class ErrorRecorder:
    """Takes errors at once; ``write`` brings them into the database.

    Of at most ``MOST_KINDS`` kinds at once; more, or more kinds during an outage of the database, are counted as
    lost and logged. Of each kind ``MOST_SAMPLES`` are kept whole per writing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, _Kind] = {}
        self._lost = 0

    def note(self, facts: ErrorFacts) -> None:
        """Take an error; never blocks on the database."""
        now = facts.occurred_at or datetime.now(UTC)
        key = fingerprint_of(facts)
        with self._lock:
            kind = self._kinds.get(key)
            if kind is None:
                if len(self._kinds) >= MOST_KINDS:
                    self._lost += 1
                    return
                kind = self._kinds[key] = _Kind(now, now)
            kind.number += 1
            kind.first_at, kind.last_at = min(kind.first_at, now), max(kind.last_at, now)
            if len(kind.samples) < MOST_SAMPLES:
                kind.samples.append(facts)
        background.wake()

    def note_call(self, outcome: CallOutcome) -> None:
        """Take the record of a guarded call that failed; what was refused here or given up is no error of it."""
        if outcome.result is CallResult.FAILED and outcome.error is not None:
            self.note(facts_of_call(outcome, outcome.error))

    def write(self) -> None:
        """Write what was noted, in one transaction.

        Raises:
            DatabaseError: what was not written waits on.
        """
        with self._lock:
            taken, self._kinds = self._kinds, {}
            lost, self._lost = self._lost, 0
        if lost:
            logger.error("errors of too many kinds at once were not recorded", extra={"errors": lost})
        if not taken:
            return
        try:
            write_errors(taken)
        except BaseException:
            self._put_back(taken)
            raise

    def _put_back(self, taken: dict[str, _Kind]) -> None:
        with self._lock:
            for key, kind in taken.items():
                newer = self._kinds.get(key)
                if newer is not None:
                    kind.number += newer.number
                    kind.last_at = max(kind.last_at, newer.last_at)
                    kind.samples = (kind.samples + newer.samples)[:MOST_SAMPLES]
                self._kinds[key] = kind


def record_errors(errors: list[ErrorFacts]) -> None:
    """Write errors in the caller's transaction: those that something written with them already proves."""
    recorder = ErrorRecorder()
    for facts in errors:
        recorder.note(facts)
    recorder.write()


def write_errors(kinds: dict[str, _Kind]) -> None:
    events = [_event(key, kind, facts) for key, kind in kinds.items() for facts in kind.samples]
    tallies = [_tally(key, kind) for key, kind in kinds.items()]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_EVENTS, [json.dumps(events, default=str)])
        cursor.execute(_TALLIES, [json.dumps(tallies, default=str)])


def facts_of_call(outcome: CallOutcome, error: ClassifiedError) -> ErrorFacts:
    return ErrorFacts(
        source=outcome.dependency,
        operation=outcome.operation,
        code=error.code,
        category=error.category,
        severity=error.severity,
        kind=code_of(error.raw),
        message=error.raw.message,
        correlation_id=outcome.correlation_id,
        details={
            "circuit": outcome.circuit,
            "attempts": outcome.attempts,
            "rule": error.rule,
            "ambiguous": error.ambiguous,
            "http_status": error.raw.http_status,
            "stopped_by": outcome.stopped_by,
        },
    )


def _common(facts: ErrorFacts) -> dict[str, Any]:
    return {
        "source": facts.source[:64],
        "operation": facts.operation[:64],
        "code": facts.code[:64],
        "category": facts.category.value,
        "severity": facts.severity.rank,
        "kind": facts.kind[:200],
        "place": facts.place[:200],
    }


def _of_release() -> dict[str, str]:
    name = get_conf().release
    return {"release": name} if name else {}


def _event(key: str, kind: _Kind, facts: ErrorFacts) -> dict[str, Any]:
    row = {
        "fingerprint": key,
        "occurred_at": (facts.occurred_at or kind.first_at).isoformat(),
        **_common(facts),
        "message": facts.message[:1000],
        "correlation_id": (facts.correlation_id or current_correlation_id())[:64],
        "subject": facts.subject[:64],
        "details": {**scrubbed(facts.details), **_of_release()},
    }
    return dict(storable(row))


def _tally(key: str, kind: _Kind) -> dict[str, Any]:
    facts = kind.samples[0]
    row = {
        "fingerprint": key,
        "former": former_fingerprints(facts),
        "facts": {**_common(facts), "message": facts.message[:1000], **_of_release()},
        "number": kind.number,
        "stored": len(kind.samples),
        "first_at": kind.first_at.isoformat(),
        "last_at": kind.last_at.isoformat(),
    }
    return dict(storable(row))


errors = ErrorRecorder()
