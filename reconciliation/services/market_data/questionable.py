"""Keep bars that may not be used, with where they came from and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from reconciliation.core.bar_rules import BarFault
from reconciliation.core.bars import FIELDS, Bar, instant
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
