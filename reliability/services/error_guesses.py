"""Guesses about failures, counted exactly and written seldom: one statement a second, however many there are."""

import json
import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

from reliability.core.classification import ClassifiedError
from reliability.core.guesses import code_of, fingerprint, normalize_message
from reliability.core.rule_table import text_of
from reliability.core.text import storable
from reliability.services.background import background

MOST_KINDS = 2_000
_SAMPLE = 1_000

_UPSERT = """
INSERT INTO reliability_errorguess
    (fingerprint, source, operation, raw_code, message, sample, code, confidence, proof, ambiguous, count,
     first_seen_at, last_seen_at, state, decided_by, decided_reason)
SELECT row.*, 'new', '', '' FROM json_to_recordset(%s) AS row(
    fingerprint text, source text, operation text, raw_code text, message text, sample text, code text,
    confidence float, proof text, ambiguous boolean, count bigint, first_seen_at timestamptz, last_seen_at timestamptz)
ORDER BY fingerprint
ON CONFLICT (fingerprint) DO UPDATE SET
    count = reliability_errorguess.count + excluded.count,
    first_seen_at = least(reliability_errorguess.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(reliability_errorguess.last_seen_at, excluded.last_seen_at)
"""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """One kind of failure since the last writing."""

    error: ClassifiedError
    first_at: datetime
    last_at: datetime
    count: int = 1


class GuessCounter:
    """Counts guesses in memory; ``write`` adds the counts to the rows.

    Of at most ``MOST_KINDS`` kinds at once: more than these in one second, or during an outage of the
    database, are counted in ``uncounted`` and logged.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {}
        self.uncounted = 0

    def note(self, error: ClassifiedError) -> None:
        """Take a guess; never blocks on the database."""
        key, now = fingerprint(error.raw), datetime.now(UTC)
        with self._lock:
            tally = self._tallies.get(key)
            if tally is not None:
                tally.count += 1
                tally.last_at = now
            elif len(self._tallies) < MOST_KINDS:
                self._tallies[key] = Tally(error, now, now)
            else:
                self.uncounted += 1
        background.wake()

    def write(self) -> None:
        """Add what was counted to the rows, in one statement.

        Raises:
            DatabaseError: what was not written is counted on. If the connection broke while the
                statement was being committed, its counts may be added twice.
        """
        with self._lock:
            taken, self._tallies = self._tallies, {}
            lost, self.uncounted = self.uncounted, 0
        if lost:
            logger.error("guesses of too many kinds at once were not counted", extra={"guesses": lost})
        if not taken:
            return
        rows = [_row(key, tally) for key, tally in taken.items()]
        try:
            with connection.cursor() as cursor:
                cursor.execute(_UPSERT, [json.dumps(rows)])
        except BaseException:
            self._put_back(taken)
            raise

    def _put_back(self, taken: dict[str, Tally]) -> None:
        with self._lock:
            for key, tally in taken.items():
                newer = self._tallies.get(key)
                if newer is not None:
                    tally.count += newer.count
                    tally.last_at = newer.last_at
                self._tallies[key] = tally


def _row(key: str, tally: Tally) -> dict[str, object]:
    error, raw = tally.error, tally.error.raw
    row = {
        "fingerprint": key,
        "source": raw.source[:64],
        "operation": raw.operation.value,
        "raw_code": code_of(raw)[:200],
        "message": normalize_message(text_of(raw)),
        "sample": raw.message[:_SAMPLE],
        "code": error.code,
        "confidence": error.confidence,
        "proof": error.proof.value,
        "ambiguous": error.ambiguous,
        "count": tally.count,
        "first_seen_at": tally.first_at.isoformat(),
        "last_seen_at": tally.last_at.isoformat(),
    }
    return dict(storable(row))


counter = GuessCounter()
