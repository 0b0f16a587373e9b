"""An order's whole way to a gateway that loses replies: from acceptance to what the ledger has."""

import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from brokers.models import Account, Broker, ExternalOrder, Order
from brokers.services.credentials import set_credentials
from brokers.services.submission import OrderSubmission, accept_order
from reliability.models import Job
from tests.brokers.conformance.ib_gateway import ACCOUNT
from tests.fakes import make_due, run_due

pytestmark = pytest.mark.django_db
BODY = {
    "symbol": "AAPL",
    "side": "buy",
    "type": "limit",
    "time_in_force": "gtc",
    "limit_price": "1.00",
    "quantity": "4",
}


@pytest.fixture
def order(gateway, fresh_accounts):
    """One accepted order for an account behind the gateway, whose client ids no other test uses."""
    return _accept(gateway, "300-399", BODY)


@pytest.fixture
def bracket(gateway, fresh_accounts):
    """One accepted bracket for an account behind the gateway, whose client ids no other test uses."""
    exits = {"take_profit": {"limit_price": "9000"}, "stop_loss": {"stop_price": "0.20"}}
    return _accept(gateway, "400-499", BODY | exits)


@pytest.mark.parametrize("trouble", ["drop_request", "drop_reply", "ib_error"])
def test_an_entry_whose_exit_was_refused_is_canceled_although_its_first_cancels_come_to_nothing(
    gateway, bracket, trouble
):
    gateway.fault("ib_exit_refused", count=1)
    gateway.fault(trouble, operation="cancel", count=2, **({"code": 10148} if trouble == "ib_error" else {}))

    deadline = time.monotonic() + 120
    while Job.objects.filter(subject=bracket.id, state="ready").exists():
        assert time.monotonic() < deadline, "the entry was never seen to end"
        gateway.fault("disconnect_streams")  # each round has an event loop of its own: the last one's client is gone
        make_due(lane="orders")
        make_due(lane="recovery")
        run_due("orders")
        run_due("recovery")

    jobs = dict(Job.objects.filter(subject=bracket.id).values_list("kind", "state"))
    assert Order.objects.get(pk=bracket.id).state == "canceled"
    assert jobs == {"orders.submit": "succeeded", "orders.take_back": "succeeded"}
    assert gateway.ledger().live_orders(bracket.client_order_id) == []
    assert not ExternalOrder.objects.filter(client_order_id__startswith=bracket.client_order_id).exists()


def _accept(gateway, client_ids, body):
    address = gateway.settings.base_url.replace("client_ids=100-131", f"client_ids={client_ids}")
    address = address.replace("tcp:", "http:")
    broker = Broker.objects.create(name="ibkr", adapter="ib", base_url=address, call_timeout_ms=1000)
    account = Account.objects.create(name="ib-desk", broker=broker, is_default=True)
    set_credentials(account, {"api_key": ACCOUNT, "api_secret": "unused"})
    owner = get_user_model().objects.create_user("desk")
    return accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(f"k-{uuid4()}", body))


def _settle(order):
    """Run the order's job until it rests, with waits and settle times skipped."""
    for _ in range(12):
        Order.objects.filter(pk=order.id).exclude(sent_at=None).update(sent_at=timezone.now() - timedelta(minutes=1))
        make_due(lane="orders")
        if not run_due("orders"):
            return Order.objects.get(pk=order.id), Job.objects.get(kind="orders.submit", subject=order.id)
    raise AssertionError("the job never came to rest")


def test_a_lost_reply_is_looked_up_and_the_order_adopted(gateway, order):
    gateway.fault("drop_reply", operation="submit", count=1)

    row, job = _settle(order)

    assert (row.state, job.state) == ("working", "succeeded")
    assert gateway.ledger().posts_seen[row.client_order_id] == 1
    assert len(gateway.ledger().live_orders(row.client_order_id)) == 1


def test_an_order_that_never_arrived_is_not_sent_a_second_time_but_shown_to_a_person(gateway, order):
    gateway.fault("drop_request", operation="submit", count=1)

    row, job = _settle(order)

    assert (row.state, job.state) == ("unknown", "dead")
    assert gateway.ledger().posts_seen[row.client_order_id] == 1
    assert gateway.ledger().live_orders(row.client_order_id) == []


def test_a_refusal_ends_the_order_with_its_reason(gateway, order):
    gateway.fault(
        "ib_error", operation="submit", code=201, message="Order rejected - margin", status="Inactive", count=1
    )

    row, job = _settle(order)

    assert (row.state, row.error_code, job.state) == ("refused", "BROKER_INSUFFICIENT_FUNDS", "succeeded")
