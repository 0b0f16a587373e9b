"""Take in what feeds and backfills deliver: judge each bar, write the usable ones, keep the others aside.

One series at a time, in one transaction with its row locked: two deliveries of the same bar cannot both be new, and
what consumers are given is in order.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum

from django.db import connection, transaction

from reconciliation.core.bar_rules import (
    HISTORY,
    NEEDS_NO_REPAIR,
    ArrivalRules,
    BarFault,
    arrival_faults,
    scale_faults,
    shape_faults,
    typical,
)
from reconciliation.core.bars import FIELDS, Bar, BarQuality, BarValues, instant
from reconciliation.core.deliveries import Delivery
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarConflict, BarSeries
from reconciliation.services.market_data.bar_store import OnDifference, write_bars
from reconciliation.services.market_data.calendars import grid_around, prepare_calendar
from reconciliation.services.market_data.gap_watch import settle_gaps, watch_gaps
from reconciliation.services.market_data.questionable import (
    Held,
    find_held,
    find_unconfirmed,
    hold_bars,
    hold_unreadable,
    refute_unconfirmed,
    settle_held,
)
from reconciliation.services.market_data.releases import release_bars
from reconciliation.services.market_data.repairs import ask_for_repairs, settle_repairs

_BEFORE = f"""
SELECT extract(epoch FROM opened_at)::bigint, {", ".join(FIELDS)} FROM reconciliation_bar
WHERE series_id = %s AND opened_at < %s ORDER BY opened_at DESC LIMIT %s
"""  # noqa: S608  # names of our own columns
_AFTER = f"""
SELECT extract(epoch FROM opened_at)::bigint, {", ".join(FIELDS)} FROM reconciliation_bar
WHERE series_id = %s AND opened_at > %s ORDER BY opened_at LIMIT 1
"""  # noqa: S608  # names of our own columns
_AT = f"""
SELECT extract(epoch FROM opened_at)::bigint, {", ".join(FIELDS)} FROM reconciliation_bar
WHERE series_id = %s AND opened_at = ANY(%s)
"""  # noqa: S608  # names of our own columns

AGREEMENT = Decimal("0.002")  # two sources say the same when their closes differ by less than this share


class Origin(Enum):
    """How a delivery came about."""

    STREAM = "stream"  # the source sent it by itself
    BACKFILL = "backfill"  # it was asked for


@dataclass(frozen=True, slots=True)
class Source:
    """Who delivers: the name of the feed, and how late its stream may be.

    ``asked`` are the first and the last stamp of the question that the bars answer; None: they came by themselves.
    """

    name: str
    origin: Origin
    late_seconds: float = 900.0
    asked: tuple[float, float] | None = None

    @property
    def rules(self) -> ArrivalRules | None:
        return ArrivalRules(late=self.late_seconds) if self.origin is Origin.STREAM else None

    def answers(self, stamp: int) -> bool:
        """Return whether a bar is of the time that was asked for."""
        return self.asked is None or self.asked[0] <= stamp <= self.asked[1]


@dataclass(slots=True)
class Intake:
    """What became of a delivery, by stamp where there is one."""

    new: list[int] = field(default_factory=list)
    revised: list[int] = field(default_factory=list)
    unchanged: int = 0
    held: int = 0
    conflicts: int = 0
    released: int = 0

    def add(self, other: "Intake") -> None:
        self.new += other.new
        self.revised += other.revised
        self.unchanged += other.unchanged
        self.held += other.held
        self.conflicts += other.conflicts
        self.released += other.released


def take_deliveries(source: Source, timeframe: Timeframe, deliveries: Sequence[Delivery], *, now: datetime) -> Intake:
    """Take in bars of one timeframe; symbols that nobody subscribed to are kept aside as such."""
    by_symbol: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        by_symbol[delivery.symbol].append(delivery)
    known = dict(BarSeries.objects.filter(symbol__in=by_symbol, timeframe=timeframe.value).values_list("symbol", "id"))
    total = Intake()
    for symbol, theirs in by_symbol.items():
        if symbol in known:
            total.add(take_for_series(source, known[symbol], theirs, now=now))
        else:
            total.held += hold_unreadable(None, timeframe, theirs, BarFault.UNKNOWN_SYMBOL, source=source.name)
    return total


def take_for_series(source: Source, series_id: int, deliveries: Sequence[Delivery], *, now: datetime) -> Intake:
    """Take in bars of one series, in one transaction."""
    prepare_calendar(*BarSeries.objects.values_list("calendar", "timeframe").get(pk=series_id), now)
    with transaction.atomic():
        series = BarSeries.objects.select_for_update().get(pk=series_id)
        return _Taking(source, series, now).take(deliveries)


class _Taking:
    """One delivery for one locked series."""

    def __init__(self, source: Source, series: BarSeries, now: datetime) -> None:
        self._source = source
        self._series = series
        self._now = now
        self._timeframe = Timeframe(series.timeframe)
        self._held: list[Held] = []
        self._result = Intake()

    def take(self, deliveries: Sequence[Delivery]) -> Intake:
        readable = self._read(deliveries)
        candidates = self._of_proper_shape(readable)
        recorded = self._recorded([bar.stamp for bar, _ in candidates])
        fresh: list[Bar] = []
        for bar, is_revision in candidates:
            known = recorded.get(bar.stamp)
            if known == bar.values:
                self._result.unchanged += 1
            elif known is not None and not is_revision:
                self._differs(bar, known)
            else:
                fresh.append(bar)
        changed = self._write(fresh)
        self._keep_held()
        self._look_for_gaps(changed)
        self._result.released = release_bars(self._series, changed)
        return self._result

    def _read(self, deliveries: Sequence[Delivery]) -> list[tuple[Bar, bool]]:
        """Return what can be read, one for each stamp and kind, in the order of time."""
        readable: dict[tuple[int, bool], Bar] = {}
        unreadable = []
        for delivery in deliveries:
            try:
                bar = delivery.read()
            except ValueError:
                unreadable.append(delivery)
                continue
            key = (bar.stamp, delivery.is_revision)
            if key in readable and readable[key] != bar and not delivery.is_revision:
                self._held.append(Held(bar, [BarFault.CONFLICT]))
            else:
                readable[key] = bar
        self._result.held += hold_unreadable(
            self._series, self._timeframe, unreadable, BarFault.UNREADABLE, source=self._source.name
        )
        return [(bar, is_revision) for (_, is_revision), bar in sorted(readable.items(), key=lambda item: item[0])]

    def _of_proper_shape(self, readable: Sequence[tuple[Bar, bool]]) -> list[tuple[Bar, bool]]:
        if not readable:
            return []
        stamps = [bar.stamp for bar, _ in readable]
        moment = self._now.timestamp()
        near = [stamp for stamp in stamps if abs(stamp - moment) < 40 * 366 * 86_400] or [int(moment)]
        grid = grid_around(self._series.calendar, self._timeframe, self._series.stamping, min(near), max(near))
        proper = []
        for bar, is_revision in readable:
            faults = [] if self._source.answers(bar.stamp) else [BarFault.NOT_ASKED_FOR]
            faults += shape_faults(bar.values)
            rules = None if is_revision else self._source.rules
            faults += arrival_faults(bar, grid, moment, rules)
            if faults:
                self._held.append(Held(bar, faults))
            else:
                proper.append((bar, is_revision))
        return proper

    def _recorded(self, stamps: Sequence[int]) -> dict[int, BarValues]:
        with connection.cursor() as cursor:
            cursor.execute(_AT, [self._series.pk, [instant(stamp) for stamp in stamps]])
            return {row[0]: BarValues(*row[1:]) for row in cursor.fetchall()}

    def _differs(self, bar: Bar, known: BarValues) -> None:
        """Keep a second opinion about a recorded bar: it is not used, and the conflict is told."""
        self._held.append(Held(bar, [BarFault.CONFLICT]))
        self._result.conflicts += 1
        BarConflict.objects.create(
            series=self._series,
            opened_at=instant(bar.stamp),
            recorded_source=_source_of(self._series.pk, bar.stamp),
            recorded_close=known.close,
            recorded_volume=known.volume,
            given_source=self._source.name,
            given={name: str(getattr(bar.values, name)) for name in FIELDS},
        )

    def _write(self, fresh: Sequence[Bar]) -> list[int]:
        """Judge bars beside their neighbours and write those that can be believed; returns their stamps."""
        if not fresh:
            return []
        good = self._before(fresh[0].stamp)
        waiting = find_unconfirmed(self._series, fresh[0].stamp)
        if waiting is not None:
            verdict = _faults_beside(waiting, good, fresh[0])
            if not verdict:
                self._store([waiting], BarQuality.CONFIRMED)
                good.append(waiting)
            elif BarFault.UNCONFIRMED not in verdict:
                refute_unconfirmed(self._series, waiting.stamp, verdict)
        usable: list[Bar] = []
        for place, bar in enumerate(fresh):
            after = fresh[place + 1] if place + 1 < len(fresh) else self._after(bar.stamp)
            faults = _faults_beside(bar, good, after)
            if faults and not self._is_confirmed(bar):
                self._held.append(Held(bar, faults))
            else:
                usable.append(bar)
                good.append(bar)
        is_live = self._source.origin is Origin.STREAM
        self._store(usable, BarQuality.LIVE if is_live else BarQuality.BACKFILLED)
        return [*self._result.new, *self._result.revised]

    def _store(self, bars: Sequence[Bar], quality: BarQuality) -> None:
        written = write_bars(
            self._series, bars, source=self._source.name, quality=quality, on_difference=OnDifference.REVISE
        )
        self._result.new += written.new
        self._result.revised += written.revised
        self._result.unchanged += written.unchanged
        settle_held(self._series, bars, by=self._source.name)

    def _is_confirmed(self, bar: Bar) -> bool:
        """Return whether another source gave nearly the same bar, which was kept aside too."""
        others = find_held(self._series, bar.stamp, not_from=self._source.name)
        return any(abs(other.close / bar.values.close - 1) < AGREEMENT for other in others)

    def _keep_held(self) -> None:
        kept = hold_bars(self._series, self._held, source=self._source.name)
        self._result.held += len(kept)
        stamps = [one.bar.stamp for one in self._held if not NEEDS_NO_REPAIR & set(one.faults)]
        ask_for_repairs(self._series, stamps)

    def _look_for_gaps(self, changed: Sequence[int]) -> None:
        """Record what is missing before anything is released, so that consumers wait for it."""
        if self._series.checked_until is None and changed:
            self._series.checked_until = instant(min(changed))
            self._series.save(update_fields=["checked_until"])
        settle_gaps(self._series.pk, changed)
        settle_repairs(self._series.pk, changed)
        watch_gaps([self._series.pk], self._now)

    def _before(self, stamp: int) -> list[Bar]:
        with connection.cursor() as cursor:
            cursor.execute(_BEFORE, [self._series.pk, instant(stamp), HISTORY])
            rows = cursor.fetchall()
        return [Bar(row[0], BarValues(*row[1:])) for row in reversed(rows)]

    def _after(self, stamp: int) -> Bar | None:
        with connection.cursor() as cursor:
            cursor.execute(_AFTER, [self._series.pk, instant(stamp)])
            row = cursor.fetchone()
        return Bar(row[0], BarValues(*row[1:])) if row else None


def _faults_beside(bar: Bar, good: Sequence[Bar], after: Bar | None) -> list[BarFault]:
    return scale_faults(bar, typical(good), good[-1] if good else None, after)


def _source_of(series_id: int, stamp: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT source FROM reconciliation_bar WHERE series_id = %s AND opened_at = %s", [series_id, instant(stamp)]
        )
        return str(cursor.fetchone()[0])
