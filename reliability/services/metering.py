"""Counting what happens, in memory at once and in PostgreSQL within a second.

Each process writes its own rows, whole values and not differences: a statement that is repeated
after a lost answer adds nothing, no row is contended for, and what a process counted stays when
it ends. A kill -9 loses what was counted since the last writing, at most a second's.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from uuid import uuid4

from django.db import connection, transaction

from reliability.core.metrics import Metric, MetricKind, Tally
from reliability.services.background import background

TOUCH_SECONDS = 600.0
FOLD_AFTER_SECONDS = 86_400
_LABEL_LENGTH = 200

Series = tuple[str, tuple[str, ...]]

_WRITE = """
INSERT INTO reliability_metrictotal (process, name, labels, value, counts)
SELECT %s, row.name, ARRAY(SELECT jsonb_array_elements_text(row.labels)), row.value,
       ARRAY(SELECT jsonb_array_elements(row.counts)::bigint)
FROM jsonb_to_recordset(%s::jsonb) AS row(name text, labels jsonb, value float, counts jsonb)
ON CONFLICT (process, name, labels) DO UPDATE SET
    value = excluded.value, counts = excluded.counts, updated_at = clock_timestamp()
"""
_TOUCH = "UPDATE reliability_metrictotal SET updated_at = clock_timestamp() WHERE process = %s"
_FOLD = """
WITH ended AS (
    DELETE FROM reliability_metrictotal
    WHERE process <> '' AND process IN (
        SELECT process FROM reliability_metrictotal WHERE process <> '' GROUP BY process
        HAVING max(updated_at) < clock_timestamp() - make_interval(secs => %s))
    RETURNING process, name, labels, value, counts
), sums AS (
    SELECT name, labels, sum(value) AS value FROM ended GROUP BY name, labels
), buckets AS (
    SELECT name, labels, array_agg(number ORDER BY place) AS counts FROM (
        SELECT name, labels, place, sum(number)::bigint AS number
        FROM ended, unnest(counts) WITH ORDINALITY AS bucket(number, place) GROUP BY name, labels, place
    ) AS summed GROUP BY name, labels
), folded AS (
    INSERT INTO reliability_metrictotal AS known (process, name, labels, value, counts)
    SELECT '', sums.name, sums.labels, sums.value, coalesce(buckets.counts, '{}')
    FROM sums LEFT JOIN buckets USING (name, labels)
    ON CONFLICT (process, name, labels) DO UPDATE SET
        value = known.value + excluded.value,
        counts = CASE WHEN cardinality(known.counts) = cardinality(excluded.counts) THEN ARRAY(
            SELECT mine + theirs FROM unnest(known.counts, excluded.counts) WITH ORDINALITY AS pair(mine, theirs, place)
            ORDER BY place)
            WHEN cardinality(known.counts) = 0 THEN excluded.counts ELSE known.counts END,
        updated_at = clock_timestamp()
    RETURNING 1
)
SELECT count(DISTINCT process) FROM ended
"""


class Meter:
    """Counts of this process; ``write`` brings them into the database."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.begin_anew()
        os.register_at_fork(after_in_child=self.begin_anew)

    def begin_anew(self) -> None:
        """Begin with nothing, as another process: at birth, and in the child of a fork."""
        self._lock = threading.Lock()
        self._tallies: dict[Series, Tally] = {}
        self._changed: set[Series] = set()
        self._written: dict[Series, Tally] = {}
        self._process = uuid4().hex
        self._touched_at = self._clock()

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Add to a counter; never waits for the database."""
        with self._lock:
            self._tally(metric, labels).add(by)
        background.wake()

    def observe(self, metric: Metric, *labels: str, value: float) -> None:
        """Count a value in a histogram, in the metric's unit."""
        with self._lock:
            self._tally(metric, labels).see(value, metric.bounds)
        background.wake()

    def _tally(self, metric: Metric, labels: tuple[str, ...]) -> Tally:
        if len(labels) != len(metric.labels) or metric.kind is MetricKind.GAUGE:
            raise ValueError(f"{metric.name} is not counted by {len(labels)} labels")
        series = (metric.name, labels)
        self._changed.add(series)
        tally = self._tallies.get(series)
        if tally is None:
            tally = self._tallies[series] = Tally()
        return tally

    def write(self) -> None:
        """Write every series that changed; now and then say that this process still counts.

        Raises:
            DatabaseError: it is written the next time.
        """
        now = self._clock()
        if self._written and now - self._touched_at > TOUCH_SECONDS:
            self._touch(now)
        with self._lock:
            changed, self._changed = self._changed, set()
            values = {series: self._tallies[series].copy() for series in changed}
        if not values:
            return
        rows = [_row(series, tally) for series, tally in sorted(values.items())]
        try:
            with connection.cursor() as cursor:
                cursor.execute(_WRITE, [self._process, json.dumps(rows)])
        except BaseException:
            with self._lock:
                self._changed |= changed
            raise
        self._written.update(values)
        self._touched_at = now

    def _touch(self, now: float) -> None:
        """Renew the rows; if they were folded, as after a long sleep, go on under another name from zero."""
        with connection.cursor() as cursor:
            cursor.execute(_TOUCH, [self._process])
            found = cursor.rowcount
        self._touched_at = now
        if found == 0:
            with self._lock:
                for series, written in self._written.items():
                    self._tallies[series] = self._tallies[series].minus(written)
                self._process = uuid4().hex
            self._written = {}


def _row(series: Series, tally: Tally) -> dict[str, object]:
    name, labels = series
    return {
        "name": name,
        "labels": [label.replace("\0", "")[:_LABEL_LENGTH] for label in labels],
        "value": tally.value,
        "counts": tally.counts,
    }


def fold_ended(after_seconds: float = FOLD_AFTER_SECONDS) -> int:
    """Add the rows of processes not heard of for so long to the common ones; returns how many processes."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_FOLD, [after_seconds])
        return int(cursor.fetchone()[0])


meter = Meter()
