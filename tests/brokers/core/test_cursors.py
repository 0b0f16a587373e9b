"""Reading fills on never skips one that was listed late."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from brokers.core.cursors import OVERLAP, lagging_cursor
from brokers.core.orders import Side
from brokers.core.reports import FillReport

START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(number: int, milliseconds: int, *, listed: bool = True) -> FillReport:
    return FillReport(
        execution_id=f"e{number}",
        broker_order_id="b",
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(1),
        executed_at=START + timedelta(milliseconds=milliseconds),
        cursor=f"c{number}" if listed else "",
    )


@given(st.lists(st.integers(0, 10_000), max_size=20).map(sorted))
def test_the_place_kept_is_at_least_the_overlap_before_the_newest_fill(moments: list[int]) -> None:
    fills = [fill(number, moment) for number, moment in enumerate(moments)]
    kept = lagging_cursor(fills, "previous")

    behind = [one for one in fills if one.executed_at <= fills[-1].executed_at - OVERLAP]
    assert kept == (behind[-1].cursor if behind else "previous")


def test_no_fills_change_nothing() -> None:
    assert lagging_cursor([], "previous") == "previous"


def test_a_fill_without_a_place_is_never_the_place() -> None:
    fills = [fill(1, 0), fill(2, 1000, listed=False), fill(3, 9000)]
    assert lagging_cursor(fills, "previous") == "c1"
