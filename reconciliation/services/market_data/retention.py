"""Bars are kept for good unless somebody decides otherwise; their months go whole."""

from datetime import datetime, timedelta

from reconciliation.core.timeframes import Timeframe
from reconciliation.services.market_data.partitions import ensure_partitions, forget_partitions, list_partitions
from reliability.services.retention.keepers import PartitionKeeper, register_keeper

_AHEAD = timedelta(days=31)


def _months_ahead(now: datetime) -> list[str]:
    """Make this month and the next, so that the first bar of a month waits for no lock."""
    before = set(list_partitions())
    forget_partitions()
    stamps = [int(now.timestamp()), int((now.replace(day=1) + _AHEAD).timestamp())]
    ensure_partitions(Timeframe.MINUTE, stamps)
    return sorted(set(list_partitions()) - before)


def register_bars() -> None:
    register_keeper(
        PartitionKeeper(
            kind="bars",
            description="bars of market data",
            table="reconciliation_bar",
            keep_days=None,
            is_exported=True,
            ahead=_months_ahead,
        )
    )
