"""Orders placed elsewhere on an account are recorded as such, and never become ours."""

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from django.utils import timezone

from brokers.core.reports import ReportedStatus
from brokers.models import Account, ExternalOrder, Fill, Order, OrderEvent
from brokers.selectors.orders import find_order, order_summary
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence
from reliability.models import Alert
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from tests.factories import make_user
from tests.fakes import FakeBroker, perform_calls, run_due
from tests.reliability.api.test_errors import client_of

pytestmark = pytest.mark.django_db

BODY = {"symbol": "AAPL", "side": "buy", "quantity": "10"}


def test_an_order_placed_elsewhere_is_recorded_and_not_adopted(broker: FakeBroker, account: Account) -> None:
    report = broker.place("by-hand", quantity=Decimal(5))
    Account.objects.update(synced_at=timezone.now())
    for _ in range(2):
        record_evidence(account.pk, [report], [], "poll")

    row = ExternalOrder.objects.get()
    assert (row.broker_order_id, row.client_order_id, row.quantity, row.status) == ("b-1", "by-hand", 5, "working")
    assert not Order.objects.exists()
    alert = Alert.objects.get()
    assert (alert.condition, alert.scope, alert.occurrences) == ("order.external", "account:desk/symbol:AAPL", 1)
    answer = client_of(make_user("brokers.view_order")).get("/api/v1/external-orders?account=desk").json()
    assert [(one["broker_order_id"], one["status"]) for one in answer["results"]] == [("b-1", "working")]


def test_what_an_account_brings_along_is_recorded_without_an_alert(broker: FakeBroker, account: Account) -> None:
    record_evidence(account.pk, [broker.place("by-hand")], [], "poll")
    assert (ExternalOrder.objects.count(), Alert.objects.count()) == (1, 0)


def test_reports_of_it_in_any_order_and_number_give_the_same(broker: FakeBroker, account: Account) -> None:
    report = broker.place("by-hand", quantity=Decimal(5))
    partly = replace(report, status=ReportedStatus.PARTIALLY_FILLED, filled_quantity=Decimal(2))
    over = replace(report, status=ReportedStatus.CANCELED, filled_quantity=Decimal(3))
    heard = [report, partly, over, report, partly, over]
    chance = random.Random(3)
    for number in range(20):
        chance.shuffle(heard)
        of_this = [replace(one, broker_order_id=f"b-{number}") for one in heard]
        record_evidence(account.pk, of_this[:4], [], "stream")
        record_evidence(account.pk, of_this, [], "poll")

    states = set(ExternalOrder.objects.values_list("status", "filled_quantity"))
    assert (ExternalOrder.objects.count(), states) == (20, {("canceled", 3)})


def test_an_order_of_ours_is_never_recorded_as_placed_elsewhere(broker: FakeBroker, account: Account) -> None:
    accept_order(owner_id=make_user().pk, actor="desk", submission=OrderSubmission("k1", BODY))
    run_due("orders")
    record_evidence(account.pk, list(broker.orders.values()), [], "poll")
    assert not ExternalOrder.objects.exists()


def test_more_filled_than_ordered_is_booked_and_shown(broker: FakeBroker, account: Account) -> None:
    accepted = accept_order(owner_id=make_user().pk, actor="desk", submission=OrderSubmission("k1", BODY))
    run_due("orders")
    for quantity in (8, 5):
        broker.execute(accepted.client_order_id, quantity)
    record_evidence(account.pk, list(broker.orders.values()), broker.fills, "stream")

    order = find_order(accepted.id)
    assert order is not None
    assert (order.filled_quantity, order_summary(order)["overfilled"], Fill.objects.count()) == (13, True, 2)
    told = OrderEvent.objects.filter(order_id=order.pk, evidence__has_key="overfilled_by")
    assert [one.evidence["overfilled_by"] for one in told] == ["3.000000000000"]
    assert [(one.condition, one.scope) for one in Alert.objects.all()] == [("order.overfill", f"order:{order.pk}")]


def test_a_second_order_of_the_broker_under_our_id_is_not_ours(broker: FakeBroker, account: Account) -> None:
    """Its end says nothing about ours, and its fills move the position alone."""
    accepted = accept_order(owner_id=make_user().pk, actor="desk", submission=OrderSubmission("k1", BODY))
    run_due("orders")
    ours = broker.orders[accepted.client_order_id]
    twin = replace(ours, broker_order_id="b-twin", status=ReportedStatus.CANCELED, filled_quantity=Decimal(2))
    fill = replace(
        broker.execute(ours.client_order_id, 2), broker_order_id="b-twin", client_order_id=ours.client_order_id
    )
    for _ in range(2):
        record_evidence(account.pk, [twin], [fill], "poll", external={"b-twin"})

    order = Order.objects.get(pk=accepted.id)
    assert (order.state, order.broker_order_id, order.filled_quantity) == ("working", ours.broker_order_id, 0)
    assert [(one.broker_order_id, one.status) for one in ExternalOrder.objects.all()] == [("b-twin", "canceled")]
    assert [(one.order_id, one.quantity) for one in Fill.objects.all()] == [(None, 2)]


def test_a_reply_about_another_order_under_our_id_leaves_a_note(broker: FakeBroker, account: Account) -> None:
    """The stream told of one order, the reply of another: an exchange that takes an id twice can do that."""
    accepted = accept_order(owner_id=make_user().pk, actor="desk", submission=OrderSubmission("k1", BODY))
    calls, _ = claim_and_prepare("orders", 1, 10)
    outcomes = perform_calls(calls)
    replied = broker.orders[accepted.client_order_id]
    record_evidence(account.pk, [replace(replied, broker_order_id="b-first")], [], "stream")
    apply_outcomes(outcomes)

    order = Order.objects.get(pk=accepted.id)
    assert (order.state, order.broker_order_id) == ("working", "b-first")
    noted = OrderEvent.objects.get(order=order, kind="another_order_reported")
    assert noted.evidence["broker_order_id"] == replied.broker_order_id
