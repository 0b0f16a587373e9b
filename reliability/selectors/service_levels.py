"""Reading what became of service levels: counts of any window as the difference of two samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from reliability.core.burn_rate import Counts

_SUBJECTS = """
WITH RECURSIVE pair AS (
    (SELECT service, subject FROM reliability_servicesample ORDER BY service, subject LIMIT 1)
    UNION ALL
    SELECT next.service, next.subject FROM pair, LATERAL (
        SELECT service, subject FROM reliability_servicesample
        WHERE (service, subject) > (pair.service, pair.subject) ORDER BY service, subject LIMIT 1) AS next
)
SELECT service, subject FROM pair
"""

# For each instant the latest sample not after it: each costs one step into the index.
_AT = """
SELECT wanted.place, sample.good, sample.bad
FROM unnest(%(instants)s::timestamptz[]) WITH ORDINALITY AS wanted (at, place)
LEFT JOIN LATERAL (
    SELECT good, bad FROM reliability_servicesample
    WHERE service = %(service)s AND subject = %(subject)s AND at <= wanted.at ORDER BY at DESC LIMIT 1
) AS sample ON true ORDER BY wanted.place
"""

_ALL_AT = """
SELECT wanted.service, wanted.subject, instant.place, sample.good, sample.bad
FROM unnest(%(services)s::text[], %(subjects)s::text[]) AS wanted (service, subject)
CROSS JOIN unnest(%(instants)s::timestamptz[]) WITH ORDINALITY AS instant (at, place)
LEFT JOIN LATERAL (
    SELECT good, bad FROM reliability_servicesample
    WHERE service = wanted.service AND subject = wanted.subject AND at <= instant.at ORDER BY at DESC LIMIT 1
) AS sample ON true
"""


_LATEST = f"""
SELECT max(latest.at) FROM ({_SUBJECTS}) AS one, LATERAL (
    SELECT at FROM reliability_servicesample s
    WHERE s.service = one.service AND s.subject = one.subject ORDER BY at DESC LIMIT 1) AS latest
"""  # noqa: S608  # the text above


@dataclass(frozen=True, slots=True)
class SampledService:
    """One service at one subject that was ever counted."""

    service: str
    subject: str


def list_sampled() -> list[SampledService]:
    """Return every service and subject with samples; costs a step into the index for each."""
    with connection.cursor() as cursor:
        cursor.execute(_SUBJECTS)
        return [SampledService(*row) for row in cursor.fetchall()]


def latest_sample_at() -> datetime | None:
    """Return when something was sampled last; None before the first time. A step into the index for each."""
    with connection.cursor() as cursor:
        cursor.execute(_LATEST)
        at: datetime | None = cursor.fetchone()[0]
    return at


def counts_of(sampled: SampledService, windows: list[timedelta], now: datetime) -> dict[timedelta, Counts]:
    """Return what happened in each window that ends now; one that is older than all samples holds all there was."""
    instants = [now, *(now - window for window in windows)]
    latest, *before = _totals_at(sampled, instants)
    return {window: _difference(latest, totals) for window, totals in zip(windows, before, strict=True)}


def counts_of_all(
    sampled: Sequence[SampledService], windows: Sequence[timedelta], now: datetime
) -> dict[SampledService, dict[timedelta, Counts]]:
    """Return for each service what ``counts_of`` does, in one question however many services there are."""
    instants = [now, *(now - window for window in windows)]
    totals: dict[SampledService, dict[int, Counts]] = {one: {} for one in sampled}
    values = {"services": [one.service for one in sampled], "subjects": [one.subject for one in sampled]}
    with connection.cursor() as cursor:
        cursor.execute(_ALL_AT, {**values, "instants": instants})
        for service, subject, place, good, bad in cursor.fetchall():
            totals[SampledService(service, subject)][place] = Counts(good or 0, bad or 0)
    return {
        one: {window: _difference(at[1], at[place]) for place, window in enumerate(windows, start=2)}
        for one, at in totals.items()
    }


def budget_history(
    sampled: SampledService, period: timedelta, now: datetime, points: int
) -> list[tuple[datetime, Counts]]:
    """Return the counts of the period that ended at each of ``points`` instants spread over the last period."""
    instants = [now - period * (points - 1 - place) / (points - 1) for place in range(points)]
    ends, begins = _totals_at(sampled, instants), _totals_at(sampled, [instant - period for instant in instants])
    return [(at, _difference(end, begin)) for at, end, begin in zip(instants, ends, begins, strict=True)]


def _totals_at(sampled: SampledService, instants: list[datetime]) -> list[Counts]:
    with connection.cursor() as cursor:
        cursor.execute(_AT, {"instants": instants, "service": sampled.service, "subject": sampled.subject})
        return [Counts(good or 0, bad or 0) for _, good, bad in cursor.fetchall()]


def _difference(later: Counts, earlier: Counts) -> Counts:
    """Return what came between; nothing where counting began anew, as after a restored backup."""
    return Counts(max(0, later.good - earlier.good), max(0, later.bad - earlier.bad))
