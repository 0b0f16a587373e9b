"""Rows of this app that are not kept for good: clean reconciliations, and bars if somebody decides so."""

from datetime import datetime, timedelta

from reconciliation.core.timeframes import Timeframe
from reconciliation.services.market_data.partitions import ensure_partitions, forget_partitions, list_partitions
from reliability.services.retention.keepers import PartitionKeeper, RowKeeper, register_keeper

_AHEAD = timedelta(days=31)


def _months_ahead(now: datetime) -> list[str]:
    """Make this month and the next, so that the first bar of a month waits for no lock."""
    before = set(list_partitions())
    forget_partitions()
    stamps = [int(now.timestamp()), int((now.replace(day=1) + _AHEAD).timestamp())]
    ensure_partitions(Timeframe.MINUTE, stamps)
    return sorted(set(list_partitions()) - before)


BARS = PartitionKeeper(
    kind="bars",
    description="bars of market data",
    table="reconciliation_bar",
    keep_days=None,
    is_exported=True,
    ahead=_months_ahead,
)
RECONCILIATIONS = RowKeeper(
    kind="reconciliations",
    description="reconciliations that were clean and that no difference names",
    table="reconciliation_reconciliationrun",
    keep_days=400,
    is_exported=True,
    time="finished_at",
    condition="one.state = 'clean' AND NOT EXISTS (SELECT FROM reconciliation_discrepancy found"
    " WHERE found.run_id = one.id OR found.last_run_id = one.id)",
)


def register_keepers() -> None:
    for keeper in (BARS, RECONCILIATIONS):
        register_keeper(keeper)
