"""Series for tests."""

from reconciliation.core.gaps import GapPolicy
from reconciliation.core.slots import Stamping
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries
from reconciliation.services.market_data.series import open_series


def series_called(symbol: str, calendar: str = "XNAS", policy: GapPolicy = GapPolicy.EVERY_SLOT) -> BarSeries:
    return open_series(symbol, Timeframe.MINUTE, calendar, policy, Stamping())
