"""Find or make the series that bars belong to."""

from reconciliation.core.gaps import GapPolicy
from reconciliation.core.slots import Stamping
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries
from reliability.core.errors import ReliabilityError


def open_series(symbol: str, timeframe: Timeframe, calendar: str, policy: GapPolicy, stamping: Stamping) -> BarSeries:
    """Return the series of a symbol and timeframe, locked; made when it is new, and then as the arguments say.

    A known series keeps its way of stamping; its policy is set to ``policy``.

    Raises:
        ReliabilityError: the symbol is unusable, or the series is known under another calendar.
    """
    symbol = symbol.strip()
    if not symbol or len(symbol) > 64 or not symbol.isprintable():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "A symbol has 1 to 64 printable characters.")
    defaults = {
        "calendar": calendar,
        "gap_policy": policy.value,
        "stamp_offset": stamping.offset,
        "daily_stamp": stamping.daily.value,
    }
    BarSeries.objects.get_or_create(symbol=symbol, timeframe=timeframe.value, defaults=defaults)
    series = BarSeries.objects.select_for_update().get(symbol=symbol, timeframe=timeframe.value)
    if series.calendar != calendar:
        raise ReliabilityError(
            "VALIDATION_INVALID_REQUEST",
            f"{symbol} {timeframe} is known with the calendar {series.calendar}, not {calendar}.",
        )
    if series.gap_policy != policy.value:
        series.gap_policy = policy.value
        series.save(update_fields=["gap_policy"])
    return series
