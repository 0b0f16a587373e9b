"""What an account may come to hold: over HTTP, on its page, and through whole lives of orders."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.core.orders import FINAL_STATES, OWN_TRANSITIONS, OrderState, Side
from brokers.core.reports import FillReport, OrderReport, ReportedStatus
from brokers.models import Account, ExternalOrder, Order, Position
from brokers.selectors.exposure import list_exposures, read_exposure
from brokers.services.decisions import end_absent
from brokers.services.order_batch import OrderBatch
from tests.factories import make_account, make_order, make_user
from tests.reliability.api.test_errors import client_of, require_error

pytestmark = pytest.mark.django_db

PATH = "/api/v1/exposure"
MAY = ("brokers.view_order", "brokers.view_position")


@pytest.fixture
def desk() -> Account:
    return make_account()


@pytest.fixture
def owner() -> AbstractBaseUser:
    return make_user(*MAY)


@pytest.fixture
def client(owner: AbstractBaseUser) -> Client:
    return client_of(owner)


def hold(account: Account, quantity: int, symbol: str = "AAPL") -> None:
    Position.objects.create(account=account, symbol=symbol, quantity=Decimal(quantity), average_price=Decimal(100))


def results(client: Client, **query: str) -> list[dict[str, Any]]:
    answer = client.get(PATH, query)
    assert answer.status_code == 200
    return answer.json()["results"]


def test_open_and_unknown_orders_reserve_what_they_may_still_trade(
    client: Client, owner: AbstractBaseUser, desk: Account
) -> None:
    hold(desk, 20)
    sent_at = timezone.now()
    make_order(desk, owner, quantity=Decimal(10), filled_quantity=Decimal(4), limit_price=Decimal(5))
    make_order(desk, owner, quantity=Decimal(7), state="unknown", limit_price=Decimal(10), sent_at=sent_at)
    make_order(desk, owner, quantity=Decimal(2), state="accepted", limit_price=Decimal(1))
    make_order(desk, owner, side="sell", quantity=Decimal(30), state="sending", limit_price=None, order_type="market")
    make_order(desk, owner, quantity=Decimal(99), state="canceled")
    make_order(desk, owner, quantity=Decimal(5), state="filled", reported_filled_quantity=Decimal(5))

    (one,) = results(client)

    assert (one["account"], one["symbol"], one["position"], one["position_cost"]) == ("desk", "AAPL", "20", "2000")
    assert one["buying"] == {
        "orders": 4, "quantity": "20", "notional": str(6 * 5 + 7 * 10 + 2 + 5 * Decimal("12.5")),
        "waiting": "2", "open": "6", "unknown": "7", "external": "0", "unbooked": "5",
    }  # fmt: skip
    assert (one["selling"]["quantity"], one["selling"]["notional"]) == ("30", None)
    assert (one["worst_long"], one["worst_short"]) == ("40", "-10")
    assert one["unknown_orders"] == 1
    assert datetime.fromisoformat(one["oldest_unknown_at"]) == sent_at
    assert one["stale"] is False


def test_orders_by_money_and_placed_elsewhere(client: Client, owner: AbstractBaseUser, desk: Account) -> None:
    money: dict[str, Any] = {"quantity": None, "limit_price": None, "order_type": "market"}
    make_order(desk, owner, notional=Decimal(500), filled_notional=Decimal(200), filled_quantity=Decimal(2), **money)
    ExternalOrder.objects.create(
        account=desk, broker_order_id="x", symbol="AAPL", side="sell", quantity=Decimal(2), status="working"
    )

    (one,) = results(client)

    assert (one["buying"]["quantity"], one["buying"]["notional"], one["worst_long"]) == (None, "300", None)
    assert (one["selling"]["external"], one["worst_short"]) == ("2", "-2")


def test_accounts_and_symbols_are_told_apart(client: Client, owner: AbstractBaseUser, desk: Account) -> None:
    spare = make_account("spare")
    hold(desk, 1)
    hold(desk, -2, "MSFT")
    hold(spare, 0)
    make_order(spare, owner, side="sell", quantity=Decimal(3))

    seen = [(one["account"], one["symbol"], one["worst_short"], one["worst_long"]) for one in results(client)]

    assert seen == [("desk", "AAPL", "1", "1"), ("desk", "MSFT", "-2", "-2"), ("spare", "AAPL", "-3", "0")]
    assert [one["symbol"] for one in results(client, account="desk")] == ["AAPL", "MSFT"]
    assert [one["account"] for one in results(client, symbol="AAPL")] == ["desk", "spare"]
    assert results(client, account="nobody") == []


def test_who_may_not_see_orders_sees_no_exposure(desk: Account) -> None:
    require_error(client_of(make_user("brokers.view_position")).get(PATH), 403, "AUTH_PERMISSION_DENIED")


def test_an_unknown_order_keeps_its_exposure_until_it_is_decided(owner: AbstractBaseUser, desk: Account) -> None:
    order = make_order(desk, owner, state="unknown", sent_at=timezone.now(), lookup_misses=9)
    (before,) = list_exposures()

    end_absent(order.pk, actor="ann and bob", reason="their desk says so")

    assert (before.worst_long, list_exposures()) == (Decimal(10), [])


def test_the_page_of_an_account_shows_it_at_the_same_cost_however_much_there_is(
    owner: AbstractBaseUser, desk: Account
) -> None:
    hold(desk, 20)
    make_order(desk, owner, state="unknown", sent_at=timezone.now())
    pages = Client()
    pages.force_login(owner)

    def questions(address: str) -> tuple[int, str]:
        with CaptureQueriesContext(connection) as asked:
            page = pages.get(address).content.decode()
        return len(asked), page

    few, page = questions("/accounts/desk")
    for number in range(5):
        make_order(desk, owner, symbol=f"S{number}")
    many, live = questions("/accounts/desk/live")

    assert all(text in page for text in ("Account desk", "AAPL", "20", "30", "unknown"))
    assert all(f"S{number}" in live for number in range(5))
    assert many <= few
    assert '/accounts/desk"' in pages.get("/").content.decode()
    assert pages.get("/accounts/nobody").status_code == 404


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.sampled_from(sorted(OrderState))),
        st.tuples(st.just("report"), st.sampled_from(sorted(ReportedStatus)), st.integers(0, 10)),
        st.tuples(st.just("fill"), st.integers(1, 4)),
    ),
    max_size=12,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, side=st.sampled_from(Side))
def test_an_order_is_exposed_for_all_of_its_life_and_no_longer(
    desk: Account, owner: AbstractBaseUser, steps: list[tuple[Any, ...]], side: Side
) -> None:
    """Whatever happens to it in whatever order: what was not booked yet counts until the order is final."""
    with transaction.atomic():
        order = make_order(desk, owner, side=side.value, state="accepted")
        for number, step in enumerate(steps):
            take(order, number, step)
            check(Order.objects.get(pk=order.pk), desk)
        transaction.set_rollback(True)


def take(order: Order, number: int, step: tuple[Any, ...]) -> None:
    batch = OrderBatch.lock([order.pk])
    row = batch.rows[order.pk]
    match step:
        case ("move", target) if (OrderState(row.state), target) in OWN_TRANSITIONS:
            batch.move(row, target, "moved", "test")
        case ("report", status, filled):
            report = OrderReport(row.client_order_id, "b-1", status, "AAPL", Side(row.side), Decimal(filled))
            batch.report(row, report, "poll")
        case ("fill", quantity):
            fill = FillReport(
                f"x-{number}", "b-1", "AAPL", Side(row.side), Decimal(quantity), Decimal(100), datetime.now(UTC)
            )
            batch.fill(row, fill, "stream")
    batch.save()


def check(order: Order, desk: Account) -> None:
    """Compare with what a person would say of the row."""
    is_final = order.state in FINAL_STATES
    assert is_final == (order.finished_at is not None)
    expected = order.reported_filled_quantity if is_final else order.quantity or Decimal(0)
    left = max(expected - order.filled_quantity, Decimal(0))
    held = order.filled_quantity if order.side == "buy" else -order.filled_quantity
    found = list_exposures("desk", "AAPL")
    long, short = (found[0].worst_long, found[0].worst_short) if found else (Decimal(0), Decimal(0))

    assert (long, short) == ((held + left, held) if order.side == "buy" else (held, held - left))
    gate = read_exposure(desk.pk, "AAPL")
    counted = Decimal(0) if order.state == OrderState.ACCEPTED else left
    assert (gate.held, gate.buying if order.side == "buy" else gate.selling) == (held, counted)
