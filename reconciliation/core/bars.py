"""What a bar is, and how its five numbers are read from what a file or a broker gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

FIELDS = ("open", "high", "low", "close", "volume")
LARGEST = Decimal(10) ** 15
PLACES = 10


class BarQuality(StrEnum):
    """What consumers are told about a bar. Only ``QUESTIONABLE`` ones may not be used."""

    LIVE = "live"  # came from a stream in time
    BACKFILLED = "backfilled"  # fetched later, to fill a gap
    IMPORTED = "imported"  # came from a file
    REVISED = "revised"  # replaced an earlier version
    CONFIRMED = "confirmed"  # was questionable; a second source, a later bar or a person confirmed it
    QUESTIONABLE = "questionable"


@dataclass(frozen=True, slots=True)
class BarValues:
    """Prices and volume of one bar, finite or not: nothing is checked yet."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a series. ``stamp`` is in whole seconds since 1970, UTC."""

    stamp: int
    values: BarValues


def read_values(row: Mapping[str, Any]) -> BarValues:
    """Return the five numbers of ``row``, whose keys are those of ``FIELDS``.

    Raises:
        ValueError: a sentence without a full stop that names the first field that is no number.
    """
    return BarValues(*(read_number(name, row.get(name)) for name in FIELDS))


def read_number(name: str, given: Any) -> Decimal:
    """Return a number as written: text, whole number, float or decimal; NaN and infinity are numbers here.

    Raises:
        ValueError: it is none; the message names the field.
    """
    if given is None or isinstance(given, bool) or (isinstance(given, str) and not given.strip()):
        raise ValueError(f"{name} is empty")
    try:
        number = Decimal(repr(given) if isinstance(given, float) else str(given).strip())
    except InvalidOperation:
        raise ValueError(f"{name} is not a number: {str(given)[:40]!r}") from None
    if number.is_finite():
        if abs(number) >= LARGEST:
            raise ValueError(f"{name} is too large: {str(given)[:40]!r}")
        if int(number.as_tuple().exponent) < -PLACES:
            number = round(number, PLACES)
    return number


def read_moment(given: Any) -> datetime:
    """Return an instant; text is ISO 8601, and all is UTC unless it carries an offset.

    Raises:
        ValueError: it is no instant.
    """
    if isinstance(given, str):
        text = given.strip()
        if not text:
            raise ValueError("timestamp is empty")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"timestamp is not an ISO 8601 instant: {text[:40]!r}") from None
    elif isinstance(given, datetime):
        moment = given
    elif isinstance(given, date):
        moment = datetime.combine(given, time(), UTC)
    else:
        raise ValueError("timestamp is empty" if given is None else f"timestamp is not an instant: {str(given)[:40]!r}")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_stamp(given: Any) -> int:
    """Return an instant as whole seconds since 1970.

    Raises:
        ValueError: it is no instant, or has a fraction of a second.
    """
    moment = read_moment(given)
    if moment.microsecond:
        raise ValueError(f"timestamp has a fraction of a second: {moment.isoformat()}")
    try:
        return int(moment.timestamp())
    except OverflowError:
        raise ValueError(f"timestamp is out of range: {moment.isoformat()}") from None


def instant(stamp: int) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)


def stamp_text(stamp: int) -> str:
    """Return a stamp as ISO 8601 in UTC, such as ``2024-07-05T13:30:00Z``."""
    return instant(stamp).strftime("%Y-%m-%dT%H:%M:%SZ")
