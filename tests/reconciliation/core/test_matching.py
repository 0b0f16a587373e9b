"""Every difference is named and none invented: pure functions on values, held against sets made at random."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.core.orders import OrderState, Side
from brokers.core.records import RecordedFill, RecordedOrder, RecordedPosition
from brokers.core.reports import FillReport, OrderReport, PositionReport, ReportedStatus
from reconciliation.core.cash import compare_cash
from reconciliation.core.discrepancy import DiscrepancyKind, Standing
from reconciliation.core.matching import compare_fill, compare_order, compare_position, match_orders
from reconciliation.core.resolution import Resolution, rule_for

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SINCE = NOW - timedelta(seconds=5)
LONG_AGO = NOW - timedelta(hours=1)


def recorded(number: int = 1, **values: object) -> RecordedOrder:
    order = RecordedOrder(
        UUID(int=number), f"st-{number}", f"b-{number}", "AAPL", Side.BUY, Decimal(10), Decimal(0), Decimal(99),
        OrderState.WORKING, LONG_AGO,
    )  # fmt: skip
    return replace(order, **values)


def reported(number: int = 1, **values: object) -> OrderReport:
    report = OrderReport(
        f"st-{number}", f"b-{number}", ReportedStatus.WORKING, "AAPL", Side.BUY, Decimal(0), Decimal("10.00"),
        limit_price=Decimal("99.0"), reported_at=LONG_AGO,
    )  # fmt: skip
    return replace(report, **values)


@pytest.mark.parametrize(
    ("ours", "theirs", "kind", "standing"),
    [
        ({}, {"filled_quantity": Decimal(4), "status": ReportedStatus.PARTIALLY_FILLED}, "quantity", "ahead"),
        ({"filled_quantity": Decimal(4)}, {}, "quantity", "apart"),
        ({"quantity": Decimal(9)}, {}, "quantity", "apart"),
        ({}, {"limit_price": Decimal(98)}, "price", "apart"),
        ({}, {"status": ReportedStatus.CANCELED}, "state", "ahead"),
        ({"state": OrderState.CANCELED}, {}, "state", "apart"),
        ({"state": OrderState.CANCELED}, {"status": ReportedStatus.EXPIRED}, "state", "apart"),
        ({"state": OrderState.EXPIRED}, {"status": ReportedStatus.CANCELED}, "state", "ahead"),
        ({"symbol": "MSFT"}, {}, "state", "apart"),
        ({"side": Side.SELL}, {"status": ReportedStatus.CANCELED}, "state", "apart"),
    ],
)
def test_each_way_to_differ_has_its_kind(
    ours: dict[str, object], theirs: dict[str, object], kind: str, standing: str
) -> None:
    (difference,) = compare_order(recorded(**ours), reported(**theirs), SINCE)
    assert (difference.kind, difference.standing, difference.is_in_flight) == (kind, standing, False)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"state": OrderState.PARTIALLY_FILLED}, {}),
        ({"state": OrderState.UNKNOWN}, {}),
        ({"quantity": None}, {}),
        ({"limit_price": None}, {}),
        ({}, {"limit_price": None, "quantity": None}),
    ],
)
def test_what_says_the_same_or_nothing_is_no_difference(ours: dict[str, object], theirs: dict[str, object]) -> None:
    assert compare_order(recorded(**ours), reported(**theirs), SINCE) == ()


def test_an_order_of_one_side_alone_is_named_by_whose_it_is() -> None:
    assert [one.kind for one in compare_order(recorded(), None, SINCE)] == [DiscrepancyKind.MISSING_THERE]
    assert [one.kind for one in compare_order(None, reported(), SINCE)] == [DiscrepancyKind.MISSING_HERE]
    elsewhere = reported(client_order_id="by-hand")
    assert [one.kind for one in compare_order(None, elsewhere, SINCE)] == [DiscrepancyKind.EXTERNAL]
    assert compare_order(None, None, SINCE) == ()


def test_what_happened_this_instant_on_either_side_is_in_flight() -> None:
    moved = {"filled_quantity": Decimal(4)}
    assert compare_order(recorded(changed_at=NOW), reported(**moved), SINCE)[0].is_in_flight
    assert compare_order(recorded(), reported(**moved, reported_at=NOW), SINCE)[0].is_in_flight
    assert compare_order(recorded(changed_at=NOW), None, SINCE)[0].is_in_flight


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_matching_names_exactly_what_was_made_to_differ(here: set[int], there: set[int], moved: set[int]) -> None:
    ours = [recorded(number) for number in here]
    theirs = [reported(number, filled_quantity=Decimal(3 if number in moved else 0)) for number in there]
    found = {(one.kind.value, one.subject) for one in match_orders(ours, theirs, SINCE)}

    expected = {("missing_there", f"b-{number}") for number in here - there}
    expected |= {("missing_here", f"b-{number}") for number in there - here}
    expected |= {("quantity", f"b-{number}") for number in here & there & moved}
    assert found == expected


def test_a_second_order_under_an_id_of_ours_is_one_that_is_not_recorded() -> None:
    found = match_orders([recorded()], [reported(), reported(broker_order_id="b-2")], SINCE)
    assert [(one.kind, one.subject) for one in found] == [("missing_here", "b-2")]
    assert match_orders([recorded(broker_order_id="")], [reported()], SINCE) == []


def _fill(**values: object) -> FillReport:
    fill = FillReport("x-1", "b-1", "AAPL", Side.BUY, Decimal(4), Decimal(100), LONG_AGO)
    return replace(fill, **values)


def test_an_execution_is_compared_with_what_was_booked_of_it() -> None:
    booked = RecordedFill("x-1", "b-1", "AAPL", Side.BUY, Decimal(4), Decimal("100.0"), UUID(int=1))

    def kinds(ours: RecordedFill | None, is_ours: bool = True, **values: object) -> list[str]:
        return [one.kind.value for one in compare_fill(ours, _fill(**values), is_ours, SINCE)]

    assert kinds(booked) == []
    assert kinds(replace(booked, quantity=Decimal(2))) == ["quantity"]
    assert kinds(booked, price=Decimal(101)) == ["price"]
    assert kinds(None) == ["unknown_fill"]
    assert kinds(None, is_ours=False) == kinds(replace(booked, order_id=None), is_ours=False) == ["external"]


@pytest.mark.parametrize(
    ("ours", "theirs", "kind"),
    [
        ((10, 100), (10, 100), None),
        ((0, 0), None, None),
        (None, (0, 0), None),
        ((10, 100), (9, 100), "position"),
        ((10, 100), None, "position"),
        (None, (5, 100), "position"),
        ((10, 100), (10, 101), "price"),
        ((10, 100), (10, 0), None),
        ((10, "100.001"), (10, 100), None),
        ((-10, 100), (10, 100), "position"),
    ],
)
def test_a_holding_is_compared_by_quantity_and_price(
    ours: tuple[object, object] | None, theirs: tuple[object, object] | None, kind: str | None
) -> None:
    left = None if ours is None else RecordedPosition("AAPL", Decimal(str(ours[0])), Decimal(str(ours[1])), LONG_AGO)
    right = None if theirs is None else PositionReport("AAPL", Decimal(str(theirs[0])), Decimal(str(theirs[1])))
    assert [one.kind.value for one in compare_position(left, right, SINCE)] == ([kind] if kind else [])


def test_cash_may_be_off_by_a_coin_an_execution() -> None:
    assert compare_cash(Decimal(100), Decimal("100.03"), "USD", 3) == ()
    (difference,) = compare_cash(Decimal(100), Decimal("100.05"), "USD", 3)
    assert (difference.kind, difference.subject) == (DiscrepancyKind.CASH, "USD")


def test_the_program_alone_never_settles_what_no_evidence_explains() -> None:
    for kind in DiscrepancyKind:
        assert rule_for(kind, Standing.APART).resolution in (Resolution.FREEZE, Resolution.PERSON)
        assert rule_for(kind).why.endswith(".")
