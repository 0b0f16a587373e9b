"""Orders through the whole submission path at a simulated Binance, each step by a process that knows nothing yet."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from brokers.models import Account, Broker, Fill, Order, Position
from brokers.services import sessions
from brokers.services.credentials import set_credentials
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import want_sync
from reliability.models import Job
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from tests.brokers.conformance.exchanges import launch_binance
from tests.fakes import NO_PULSE, _perform, make_due

pytestmark = pytest.mark.django_db

LIMIT = {"symbol": "BTC/USD", "side": "buy", "type": "limit", "time_in_force": "gtc"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with launch_binance(tmp_path_factory.mktemp("binance")) as counterpart:
        yield counterpart


@pytest.fixture
def exchange(running):
    running.clear_trouble()
    yield running
    running.clear_trouble()


@pytest.fixture
def account(exchange, fresh_accounts):
    row = Broker.objects.create(
        name="exchange", adapter="ccxt:binance", base_url=exchange.settings.base_url, stream_url=""
    )
    account = Account.objects.create(name="desk", broker=row, is_default=True)
    set_credentials(account, exchange.settings.credentials)
    return account


@pytest.fixture
def submit(account):
    owner = get_user_model().objects.create_user("desk")

    def run(key, **terms):
        body = {**LIMIT, "quantity": "0.5", "limit_price": "1000.00", **terms}
        return accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(key, body)).id

    return run


def work(lane):
    """Run what is due in a lane, in a process of its own as far as sessions go."""
    calls, claimed = claim_and_prepare(lane, NO_PULSE, 100)

    async def together():
        outcomes = list(await asyncio.gather(*(_perform(call) for call in calls)))
        for _, session in sessions._sessions.values():
            await session.close()
        sessions._sessions.clear()
        return outcomes

    if calls:
        apply_outcomes(asyncio.run(together()))
    return claimed


def settle(lane, most=12):
    for _ in range(most):
        make_due(lane=lane)
        if not work(lane):
            return


def test_a_lost_reply_is_looked_up_adopted_and_its_fill_booked(exchange, account, submit):
    order_id = submit("k1")
    exchange.control("POST", "/sim/faults", {"kind": "drop_reply", "operation": "submit", "count": 1})
    work("orders")
    assert Order.objects.get(pk=order_id).state == "unknown"

    settle("orders")
    order = Order.objects.get(pk=order_id)
    assert order.state == "working"
    exchange.fill(order.broker_order_id, Decimal("0.5"))
    Order.objects.filter(pk=order_id).update(acknowledged_at=timezone.now() - timedelta(minutes=1))
    want_sync({account.pk})
    settle("recovery", most=3)

    order.refresh_from_db()
    assert order.state == "filled"
    assert [fill.quantity for fill in Fill.objects.filter(order_id=order_id)] == [Decimal("0.5")]
    assert Position.objects.get(account=account).quantity == Decimal("0.5")
    assert exchange.count_submissions(order.client_order_id) == 1


def test_a_request_that_never_arrived_waits_for_a_person_and_is_not_sent_again(exchange, account, submit):
    order_id = submit("k2")
    exchange.control("POST", "/sim/faults", {"kind": "drop_request", "operation": "submit", "count": 1})
    work("orders")
    for _ in range(5):
        Order.objects.filter(pk=order_id).update(sent_at=timezone.now() - timedelta(minutes=1))
        make_due(lane="orders")
        work("orders")

    order = Order.objects.get(pk=order_id)
    assert order.state == "unknown"
    assert order.absence_proven_at is not None
    assert Job.objects.get(kind="orders.submit", subject=order_id).state == "dead"
    assert exchange.count_submissions(order.client_order_id) == 1
