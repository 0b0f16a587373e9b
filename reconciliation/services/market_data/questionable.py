"""Keep bars that may not be used, with where they came from and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils import timezone

from reconciliation.core.bar_rules import BarFault
from reconciliation.core.bars import FIELDS, Bar, BarValues, instant
from reconciliation.core.deliveries import Delivery
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries, QuestionableBar


@dataclass(frozen=True, slots=True)
class Held:
    """A readable bar and what is wrong with it."""

    bar: Bar
    faults: Sequence[BarFault]


def hold_bars(series: BarSeries, held: Sequence[Held], *, source: str) -> list[int]:
    """Keep bars of one series that may not be used; returns the ids of the new rows.

    A bar that is held already with the same numbers from the same source is not kept twice.
    """
    if not held:
        return []
    known = QuestionableBar.objects.filter(
        series=series, source=source, stamp__in=[instant(one.bar.stamp) for one in held]
    ).values_list("stamp", "given")
    seen = {(stamp, tuple(given.get(name) for name in FIELDS)) for stamp, given in known if stamp is not None}
    rows = []
    for one in held:
        given = {name: str(getattr(one.bar.values, name)) for name in FIELDS}
        key = (instant(one.bar.stamp), tuple(given[name] for name in FIELDS))
        if key in seen:
            continue
        seen.add(key)
        rows.append(
            QuestionableBar(
                series=series,
                symbol=series.symbol,
                timeframe=series.timeframe,
                stamp=key[0],
                given=given,
                source=source,
                faults=[fault.value for fault in one.faults],
            )
        )
    return [row.pk for row in QuestionableBar.objects.bulk_create(rows)]


def hold_unreadable(
    series: BarSeries | None, timeframe: Timeframe, deliveries: Sequence[Delivery], fault: BarFault, *, source: str
) -> int:
    """Keep what is no bar, or is nobody's; returns how many."""
    rows = []
    for delivery in deliveries:
        stamp = delivery.stamp()
        rows.append(
            QuestionableBar(
                series=series,
                symbol=delivery.symbol[:64],
                timeframe=timeframe.value,
                stamp=None if stamp is None else instant(stamp),
                given=delivery.as_json(),
                source=source,
                faults=[fault.value],
            )
        )
    return len(QuestionableBar.objects.bulk_create(rows))


def find_unconfirmed(series: BarSeries, before: int) -> Bar | None:
    """Return the last bar that waits for the bar at ``before`` to say whether its price was real."""
    row = (
        QuestionableBar.objects.filter(
            series=series, state=QuestionableBar.State.HELD, stamp__lt=instant(before), faults=[BarFault.UNCONFIRMED]
        )
        .order_by("-stamp")
        .first()
    )
    if row is None or row.stamp is None:
        return None
    return Bar(int(row.stamp.timestamp()), _values(row))


def refute_unconfirmed(series: BarSeries, stamp: int, faults: Sequence[BarFault]) -> None:
    """Keep what the next bar said of one that waited for it: no later one is asked, when prices may be elsewhere."""
    QuestionableBar.objects.filter(
        series=series,
        stamp=instant(stamp),
        state=QuestionableBar.State.HELD,
        faults=[BarFault.UNCONFIRMED],
    ).update(faults=[fault.value for fault in faults])


def find_held(series: BarSeries, stamp: int, *, not_from: str) -> list[BarValues]:
    """Return the versions of a bar that other sources gave and that are kept aside for their price alone."""
    rows = QuestionableBar.objects.filter(
        series=series, stamp=instant(stamp), state=QuestionableBar.State.HELD, faults__0__in=_OF_PRICE
    ).exclude(source=not_from)
    return [_values(row) for row in rows]


def settle_held(series: BarSeries, bars: Sequence[Bar], *, by: str) -> None:
    """Say of bars kept aside, whose place a usable bar has taken now, whether they were that bar or another."""
    if not bars:
        return
    usable = {instant(bar.stamp): bar.values for bar in bars}
    rows = QuestionableBar.objects.filter(
        series=series, stamp__in=list(usable), state=QuestionableBar.State.HELD
    ).exclude(faults__contains=[BarFault.CONFLICT.value])
    for row in rows:
        assert row.stamp is not None
        same = row.faults[0] in _OF_PRICE and _values(row) == usable[row.stamp]
        row.state = QuestionableBar.State.CONFIRMED if same else QuestionableBar.State.REPLACED
        row.decided_by, row.decided_at = by, timezone.now()
        row.save(update_fields=["state", "decided_by", "decided_at"])


_OF_PRICE = [
    fault.value for fault in (BarFault.EXTREME, BarFault.SPIKE, BarFault.UNCONFIRMED, BarFault.WICK, BarFault.REPEATED)
]


def _values(row: QuestionableBar) -> BarValues:
    return BarValues(*(Decimal(row.given[name]) for name in FIELDS))
