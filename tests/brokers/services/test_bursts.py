"""More orders at once than a broker has places: they go one after the other, and none is turned away."""

import time

import pytest
from django.contrib.auth import get_user_model

from brokers.core.orders import OrderState
from brokers.models import Account, Order
from brokers.services.submission import OrderSubmission, accept_orders
from reliability.models import Job
from reliability.services.jobs.runner import JobRunner
from reliability.services.pulse import Pulse
from tests.fakes import FakeBroker

pytestmark = pytest.mark.usefixtures("committed")

_PLACES = 10
_ORDERS = 60


def test_a_burst_that_may_be_refused_is_not_while_its_broker_is_well(broker: FakeBroker, account: Account) -> None:
    account.broker.max_concurrent_calls = _PLACES
    account.broker.save()
    body = {"symbol": "AAPL", "side": "buy", "quantity": "1", "when_unavailable": "refuse"}
    owner = get_user_model().objects.create_user("desk")
    wanted = [OrderSubmission(f"k{number}", body) for number in range(_ORDERS)]
    accept_orders(owner_id=owner.pk, actor="desk", submissions=wanted)

    pulse = Pulse("worker", "of a test")
    runner = JobRunner(["orders"], pulse)
    deadline = time.monotonic() + 60
    while Job.objects.filter(lane="orders", state__in=("ready", "running")).exists():
        assert time.monotonic() < deadline, "the burst never ended"
        time.sleep(0.02)
    runner.stop(5)
    pulse.stop()

    assert set(Order.objects.values_list("state", flat=True)) == {OrderState.WORKING}
    assert broker.calls.count("submit") == _ORDERS
