"""Read bars for consumers: a stretch of one series, what was released after a cursor, and what may not be used."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from reconciliation.core.bars import FIELDS, BarQuality
from reconciliation.models import QuestionableBar

_NUMBERS = ", ".join(f"bar.{name}" for name in FIELDS)
_THEN_OR_NOW = ", ".join(f"coalesce(former.{name}, bar.{name})" for name in (*FIELDS, "source", "quality"))
_RELEASED = f"""
SELECT released.seq, series.symbol, series.timeframe, released.opened_at, {_THEN_OR_NOW}, released.revision
FROM reconciliation_barrelease released
JOIN reconciliation_barseries series ON series.id = released.series_id
JOIN reconciliation_bar bar ON bar.series_id = released.series_id AND bar.opened_at = released.opened_at
LEFT JOIN reconciliation_barrevision former ON former.series_id = released.series_id
     AND former.opened_at = released.opened_at AND former.revision = released.revision
WHERE released.seq > %(since)s AND (%(symbol)s = '' OR series.symbol = %(symbol)s)
  AND (%(timeframe)s = '' OR series.timeframe = %(timeframe)s) AND (NOT %(announced)s OR released.announced)
ORDER BY released.seq LIMIT %(limit)s
"""  # noqa: S608  # names of our own columns
_STRETCH = f"""
SELECT NULL, series.symbol, series.timeframe, bar.opened_at, {_NUMBERS}, bar.source, bar.quality, bar.revision
FROM reconciliation_barseries series JOIN reconciliation_bar bar ON bar.series_id = series.id
WHERE series.symbol = %(symbol)s AND series.timeframe = %(timeframe)s
  AND bar.opened_at >= %(start)s AND bar.opened_at < %(end)s
ORDER BY bar.opened_at LIMIT %(limit)s
"""  # noqa: S608  # names of our own columns


def list_released(
    since: int, *, symbol: str = "", timeframe: str = "", limit: int = 1000, announced_only: bool = False
) -> list[dict[str, Any]]:
    """Return the versions of bars released after ``since``, in the order of release."""
    parameters = {"since": since, "symbol": symbol, "timeframe": timeframe, "limit": limit}
    return list(_rows(_RELEASED, {**parameters, "announced": announced_only}))


def list_bars(symbol: str, timeframe: str, start: datetime, end: datetime, limit: int) -> list[dict[str, Any]]:
    """Return the current usable bars of a series from ``start`` up to before ``end``, oldest first."""
    return list(_rows(_STRETCH, {"symbol": symbol, "timeframe": timeframe, "start": start, "end": end, "limit": limit}))


def list_questionable(symbol: str, timeframe: str, start: datetime, end: datetime, limit: int) -> list[dict[str, Any]]:
    """Return what came and may not be used, newest first."""
    query = QuestionableBar.objects.filter(symbol=symbol, timeframe=timeframe, stamp__gte=start, stamp__lt=end)
    return [
        {
            "seq": None,
            "symbol": row.symbol,
            "timeframe": row.timeframe,
            "timestamp": row.stamp,
            **{name: row.given.get(name) for name in FIELDS},
            "source": row.source,
            "quality": BarQuality.QUESTIONABLE.value,
            "revision": None,
            "faults": row.faults,
            "state": row.state,
        }
        for row in query.filter(state=QuestionableBar.State.HELD).order_by("-stamp", "-id")[:limit]
    ]


def _rows(statement: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
    for seq, symbol, timeframe, opened_at, *numbers, source, quality, revision in rows:
        yield {
            "seq": seq,
            "symbol": symbol,
            "timeframe": timeframe,
            "timestamp": opened_at,
            **{name: plain_number(number) for name, number in zip(FIELDS, numbers, strict=True)},
            "source": source,
            "quality": quality,
            "revision": revision,
            "faults": [],
            "state": "usable",
        }


def plain_number(number: Any) -> str:
    """Return a decimal as text without needless zeros and without an exponent."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
