"""Positions and cash changed by hand: events with a reason and a person, and what was known at any instant."""

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from brokers.core.corporate_actions import CashEntryKind, SplitRatio
from brokers.core.reports import AccountReport
from brokers.models import Account, Balance, CashEntry, Position, PositionChange, PositionCheckpoint, PositionEvent
from brokers.selectors.holdings import balance_points, list_position_events, list_positions_then, position_points
from brokers.services.holdings import (
    adjust_position,
    apply_split,
    book_cash,
    change_symbol,
    record_balance,
    take_checkpoints,
)
from reliability.core.errors import ReliabilityError
from reliability.models import AuditEntry, Intervention
from reliability.services.interventions import confirm_intervention
from tests.factories import TEST_PASSWORD, make_account, make_order, make_user
from tests.reliability.api.test_errors import client_of, require_error

pytestmark = pytest.mark.django_db

BY = {"by": "ann", "reason": "as the broker's letter says"}


@pytest.fixture
def desk() -> Account:
    return make_account("desk")


def held(account: Account, symbol: str = "AAPL") -> tuple[Decimal, Decimal, int]:
    row = Position.objects.get(account=account, symbol=symbol)
    return row.quantity, row.average_price, row.version


def set_back(days: int) -> datetime:
    """Let all that is recorded have happened some days ago."""
    at = timezone.now() - timedelta(days=days)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE brokers_positionevent DISABLE TRIGGER USER")
        cursor.execute("UPDATE brokers_positionevent SET recorded_at = %s WHERE recorded_at > %s", [at, at])
        cursor.execute("ALTER TABLE brokers_positionevent ENABLE ALWAYS TRIGGER brokers_positionevent_append_only")
    return at


def test_an_adjustment_is_an_event_with_a_person_and_a_reason(desk: Account) -> None:
    change = adjust_position(desk.pk, "AAPL", quantity=Decimal(10), average_price=Decimal(100), **BY)

    assert held(desk) == (10, 100, 1)
    assert (change.kind, change.actor, change.reason) == ("adjustment", "ann", "as the broker's letter says")
    assert (change.event.quantity_before, change.event.quantity_after, change.event.fill_id) == (0, 10, None)
    entry = AuditEntry.objects.get(action="position_adjustment")
    assert (entry.actor, entry.subject, entry.after["quantity"]) == ("ann", "position:desk/AAPL", "10")


def test_an_adjustment_of_what_somebody_else_changed_meanwhile_changes_nothing(desk: Account) -> None:
    adjust_position(desk.pk, "AAPL", quantity=Decimal(10), average_price=Decimal(100), **BY)
    with pytest.raises(ReliabilityError, match="by now"):
        adjust_position(desk.pk, "AAPL", quantity=Decimal(3), expected=Decimal(9), **BY)
    assert held(desk) == (10, 100, 1)


def test_a_split_changes_units_and_price_and_is_refused_where_nothing_is_held(desk: Account) -> None:
    adjust_position(desk.pk, "AAPL", quantity=Decimal(10), average_price=Decimal(100), **BY)
    apply_split(desk.pk, "AAPL", SplitRatio(Decimal(4), Decimal(1)), **BY)

    assert held(desk) == (40, 25, 2)
    with pytest.raises(ReliabilityError, match="Nothing is held of MSFT"):
        apply_split(desk.pk, "MSFT", SplitRatio(Decimal(4), Decimal(1)), **BY)


def test_a_new_symbol_takes_over_what_was_held(desk: Account) -> None:
    adjust_position(desk.pk, "FB", quantity=Decimal(10), average_price=Decimal(100), **BY)
    adjust_position(desk.pk, "META", quantity=Decimal(10), average_price=Decimal(200), **BY)
    change_symbol(desk.pk, "FB", "META", **BY)

    assert held(desk, "FB") == (0, 0, 2)
    assert held(desk, "META") == (20, 150, 2)
    assert PositionChange.objects.filter(kind="symbol_change", details__to="META").count() == 2
    for wrong in ("META", "no symbol"):
        with pytest.raises(ReliabilityError):
            change_symbol(desk.pk, "META", wrong, **BY)


@pytest.mark.parametrize(
    "values",
    [
        {"quantity": Decimal("NaN")},
        {"quantity": Decimal(10) ** 20},
        {"quantity": Decimal(1), "average_price": Decimal(-1)},
        {"quantity": Decimal(1), "reason": " "},
        {"quantity": Decimal("0.0000000000001")},
    ],
)
def test_a_number_that_is_none_or_no_reason_changes_nothing(desk: Account, values: dict[str, Any]) -> None:
    with pytest.raises(ReliabilityError) as refused:
        adjust_position(desk.pk, "AAPL", **{**BY, **values})
    assert refused.value.code == "VALIDATION_INVALID_REQUEST"
    assert not PositionEvent.objects.exists()


def test_cash_is_booked_with_its_kind_and_never_changed(desk: Account) -> None:
    entry = book_cash(desk.pk, CashEntryKind.DIVIDEND, Decimal("12.50"), symbol="AAPL", **BY)

    assert (entry.amount, entry.currency, entry.symbol, entry.actor) == (Decimal("12.50"), "USD", "AAPL", "ann")
    with pytest.raises(ReliabilityError, match="below 0"):
        book_cash(desk.pk, CashEntryKind.FEE, Decimal(1), **BY)
    for table in ("cashentry", "positionchange", "balance", "positioncheckpoint"):
        adjust_position(desk.pk, "AAPL", quantity=Decimal(10), **BY)
        record_balance(desk.pk, _report(), timezone.now())
        take_checkpoints(timezone.now().date(), timezone.now() + timedelta(seconds=1))
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM brokers_{table}")


def test_positions_are_known_as_they_were_at_any_instant(desk: Account) -> None:
    adjust_position(desk.pk, "AAPL", quantity=Decimal(10), average_price=Decimal(100), **BY)
    long_ago = set_back(5)
    adjust_position(desk.pk, "AAPL", quantity=Decimal(4), **BY)
    lately = set_back(2)
    adjust_position(desk.pk, "AAPL", quantity=Decimal(7), **BY)
    for days in (6, 5, 4, 3, 2, 1):
        day = (timezone.now() - timedelta(days=days)).date()
        take_checkpoints(day, datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC))

    def at(instant: datetime) -> list[tuple[str, Decimal, int]]:
        return [(one.symbol, one.quantity, one.version) for one in list_positions_then(instant)]

    assert at(long_ago - timedelta(seconds=1)) == []
    assert at(long_ago) == [("AAPL", 10, 1)]
    assert at(lately - timedelta(hours=1)) == [("AAPL", 10, 1)]
    assert at(lately) == [("AAPL", 4, 2)]
    assert at(timezone.now()) == [("AAPL", 7, 3)]
    assert [(one.version, one.quantity) for one in PositionCheckpoint.objects.order_by("day")] == [(1, 10), (2, 4)]
    assert (
        take_checkpoints(lately.date(), datetime.combine(lately.date() + timedelta(days=1), datetime.min.time(), UTC))
        == 0
    )


def test_a_long_history_is_drawn_with_few_points(desk: Account) -> None:
    for number in range(8):
        adjust_position(desk.pk, "AAPL", quantity=Decimal(number + 1), **BY)
    position = Position.objects.get()
    points = position_points(position.pk)

    assert 1 <= len(points) <= 8
    assert points[-1][1] == 8
    assert [at for at, _, _ in points] == sorted(at for at, _, _ in points)
    events = list_position_events("desk", "AAPL")
    assert (events[0]["kind"], events[0]["reason"], len(events)) == ("adjustment", "as the broker's letter says", 8)


def _report(cash: int = 100, reserved: Decimal | None = None) -> AccountReport:
    return AccountReport("a", "USD", Decimal(cash), Decimal(cash + 50), Decimal(cash), False, reserved)


def test_balances_keep_what_the_broker_reserves_and_what_our_orders_may_cost(desk: Account) -> None:
    owner = make_user()
    make_order(desk, owner, quantity=Decimal(10), filled_quantity=Decimal(4), limit_price=Decimal(5))
    make_order(desk, owner, side="sell", quantity=Decimal(10), limit_price=Decimal(5))
    now = timezone.now()
    record_balance(desk.pk, _report(reserved=Decimal(31)), now)
    record_balance(desk.pk, _report(cash=90), now + timedelta(seconds=1))

    first, second = Balance.objects.order_by("id")
    assert (first.cash, first.reserved, first.held_by_orders, second.reserved) == (100, 31, 30, None)
    assert [(cash, equity) for _, cash, equity in balance_points(desk.pk)] == [(100, 150), (90, 140)]


def test_pages_show_the_history_as_drawings_and_take_decisions_with_a_reason(desk: Account) -> None:
    for quantity in (10, 4):
        adjust_position(desk.pk, "AAPL", quantity=Decimal(quantity), average_price=Decimal(100), **BY)
    record_balance(desk.pk, _report(), timezone.now())
    client, position = Client(), Position.objects.get()
    views = ("position", "positionevent", "positionchange", "balance", "cashentry")
    may = ("brokers.adjust_position", "brokers.book_cash", "reliability.handle_intervention")
    user = make_user(*may, *(f"brokers.view_{one}" for one in views))
    client.force_login(user)
    page = client.get(reverse("admin:brokers_position_change", args=[position.pk])).content.decode()
    assert page.count('<svg class="chart"') == 2
    assert "AAPL held: 2 points" in page or "AAPL held: 1 points" in page
    balance = client.get(reverse("admin:brokers_balance_change", args=[Balance.objects.get().pk])).content.decode()
    assert '<svg class="chart"' in balance
    known = client.get(reverse("admin:brokers_position_known"), {"at": "2020-01-01T00:00:00Z"}).content.decode()
    assert "No position was recorded by then." in known
    assert "AAPL" in client.get(reverse("admin:brokers_position_known")).content.decode()

    listing = reverse("admin:brokers_position_changelist")
    chosen = {"action": "split", "_selected_action": [position.pk]}
    client.post(listing, {**chosen, "new": "2", "old": "1"})
    assert held(desk)[0] == 4
    client.post(listing, {**chosen, "new": "2", "old": "1", "reason": "2 for 1"})
    assert held(desk)[0] == 4, "another person agrees first"
    agree()
    assert held(desk)[0] == 8
    form = {"chosen": desk.pk, "how": "dividend", "amount": "-5", "currency": "USD", "symbol": "AAPL", "reason": "Q3"}
    refused = client.post(reverse("admin:brokers_cashentry_add"), form).content.decode()
    assert "above 0" in refused
    client.post(reverse("admin:brokers_cashentry_add"), {**form, "amount": "5"})
    agree()
    assert (CashEntry.objects.get().amount, CashEntry.objects.get().actor) == (5, f"{user.get_username()} and bob")


def agree() -> None:
    """Confirm whatever is proposed, as another person."""
    for row in Intervention.objects.filter(state="proposed"):
        confirm_intervention(row.pk, actor="bob", proposal=row.proposal)


def test_the_api_answers_what_was_held_and_what_moved_it(desk: Account) -> None:
    adjust_position(desk.pk, "AAPL", quantity=Decimal(10), average_price=Decimal(100), **BY)
    record_balance(desk.pk, _report(), timezone.now())
    book_cash(desk.pk, CashEntryKind.FEE, Decimal(-1), **BY)
    views = ("position", "positionevent", "balance", "cashentry")
    client = client_of(make_user(*(f"brokers.view_{one}" for one in views)))

    then = client.get("/api/v1/positions/then", {"at": timezone.now().isoformat()}).json()["results"]
    assert [(one["symbol"], one["quantity"]) for one in then] == [("AAPL", "10")]
    assert client.get("/api/v1/positions/then", {"at": "2020-01-01T00:00:00Z"}).json()["results"] == []
    require_error(client.get("/api/v1/positions/then"), 422, "VALIDATION_INVALID_REQUEST")
    moved = client.get("/api/v1/positions/history", {"account": "desk", "symbol": "AAPL"}).json()["results"]
    assert [(one["kind"], one["actor"]) for one in moved] == [("adjustment", "ann")]
    assert [one["cash"] for one in client.get("/api/v1/balances?account=desk").json()["results"]] == ["100"]
    assert [one["amount"] for one in client.get("/api/v1/cash-entries").json()["results"]] == ["-1"]


def test_the_command_records_what_changed_without_an_execution(
    desk: Account, fresh_accounts: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    may = ("brokers.adjust_position", "brokers.book_cash", "reliability.handle_intervention")
    ann = make_user(*may, name="ann")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TEST_PASSWORD}\n" * 6))
    told = ("--account", "desk", "--symbol", "AAPL", "--reason", "letter of the broker", "--as", ann.get_username())
    call_command("positions", "adjust", *told, "--quantity", "10", "--average-price", "100")
    agree()
    call_command("positions", "split", *told, "--ratio", "4:1")
    agree()
    call_command("positions", "cash", *told, "--kind", "dividend", "--amount", "3")
    agree()
    call_command("positions", "rename", *told, "--to", "AAPL2")
    agree()
    assert held(desk, "AAPL2") == (40, 25, 1)
    with pytest.raises(CommandError, match="Nothing is held of AAPL"):
        call_command("positions", "split", *told, "--ratio", "4:1")
    with pytest.raises(CommandError, match="no account called"):
        call_command(
            "positions", "split", "--account", "x", "--symbol", "A", "--reason", "r", "--ratio", "4:1", "--as", "ann"
        )
    capsys.readouterr()
    call_command("positions", "show", "--account", "desk")
    assert {one["symbol"]: one["quantity"] for one in json.loads(capsys.readouterr().out)} == {
        "AAPL": "0",
        "AAPL2": "40",
    }
