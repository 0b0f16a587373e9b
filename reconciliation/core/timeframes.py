"""The lengths of time a bar may cover."""

from datetime import timedelta
from enum import StrEnum


class Timeframe(StrEnum):
    """A bar covers ``step`` from its stamp on; a daily bar covers one session, however long that is."""

    MINUTE = "1Min"
    FIVE_MINUTES = "5Min"
    QUARTER = "15Min"
    HOUR = "1Hour"
    DAY = "1Day"

    @property
    def step(self) -> timedelta:
        return _STEPS[self]

    @property
    def seconds(self) -> int:
        return int(_STEPS[self].total_seconds())

    @property
    def is_daily(self) -> bool:
        return self is Timeframe.DAY


_STEPS = {
    Timeframe.MINUTE: timedelta(minutes=1),
    Timeframe.FIVE_MINUTES: timedelta(minutes=5),
    Timeframe.QUARTER: timedelta(minutes=15),
    Timeframe.HOUR: timedelta(hours=1),
    Timeframe.DAY: timedelta(days=1),
}
